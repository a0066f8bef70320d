variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "environment" {
  description = "In the secrets' names: platform/<environment>/<service>."
  type        = string
}

variable "services" {
  description = "The four services."
  type        = list(string)
}

variable "database_address" {
  description = "PostgreSQL's host."
  type        = string
}

variable "replica_address" {
  description = "The host of PostgreSQL's replica, or null."
  type        = string
  default     = null
}

variable "cache_address" {
  description = "Redis' host."
  type        = string
}

variable "rotation" {
  description = "Raise it to make every secret anew."
  type        = number
}
