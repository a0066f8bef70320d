variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnets" {
  description = "The data subnets."
  type        = list(string)
}

variable "client_security_group" {
  description = "Who may connect."
  type        = string
}

variable "instance_class" {
  description = "Size of the primary and the replica."
  type        = string
}

variable "storage_gib" {
  description = "Where the storage starts; it grows to four times that."
  type        = number
}

variable "max_connections" {
  description = "All roles' connections together, and a few for operators."
  type        = number
}

variable "multi_az" {
  description = "A standby in another zone."
  type        = bool
}

variable "replica" {
  description = "A replica for reading."
  type        = bool
}

variable "backup_days" {
  description = "How far back a point-in-time restore reaches."
  type        = number
}

variable "protect" {
  description = "Refuses deletion, and leaves a last snapshot."
  type        = bool
}

variable "alarm_topic" {
  description = "Where alarms go."
  type        = string
}
