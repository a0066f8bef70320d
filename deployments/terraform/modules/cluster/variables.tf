variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "cidr" {
  description = "What is inside."
  type        = string
}

variable "public_subnets" {
  description = "Where the load balancer is."
  type        = list(string)
}

variable "certificate_arn" {
  description = "TLS certificate of *.<domain>, in ACM."
  type        = string
}

variable "protect" {
  description = "Refuses deletion."
  type        = bool
}
