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

variable "users" {
  description = "Redis's users, by id."
  type        = list(string)
}

variable "node_type" {
  description = "Size of a node."
  type        = string
}

variable "nodes" {
  description = "The primary and its standbys."
  type        = number
}

variable "snapshot_days" {
  description = "How long snapshots stay."
  type        = number
}

variable "alarm_topic" {
  description = "Where alarms go."
  type        = string
}
