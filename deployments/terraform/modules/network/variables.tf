variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "zones" {
  description = "Availability zones; at least two."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 2
    error_message = "One zone is no redundancy."
  }
}

variable "cidr" {
  description = "The network, a /16."
  type        = string
}

variable "nat_per_zone" {
  description = "A NAT gateway in every zone, or one for all."
  type        = bool
}
