variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "region" {
  description = "AWS region."
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

variable "master_secret_arn" {
  description = "The superuser's password, which RDS keeps."
  type        = string
}

variable "secret_arns" {
  description = "Secret of each service, of migrate and of roles."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "What they are encrypted with."
  type        = string
}

variable "image_urls" {
  description = "Repository of each image."
  type        = map(string)
}

variable "image_tag" {
  description = "The version."
  type        = string
}

variable "app_connections" {
  description = "CONNECTION LIMIT of each service's role."
  type        = number
}
