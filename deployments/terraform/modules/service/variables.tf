variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "service" {
  description = "Its name."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnets" {
  description = "The private subnets."
  type        = list(string)
}

variable "security_group" {
  description = "Of the tasks."
  type        = string
}

variable "cluster_arn" {
  description = "The ECS cluster."
  type        = string
}

variable "cluster_name" {
  description = "Its name."
  type        = string
}

variable "namespace_arn" {
  description = "Where services find each other."
  type        = string
}

variable "listener_arn" {
  description = "The HTTPS listener."
  type        = string
}

variable "balancer_arn_suffix" {
  description = "For the alarms."
  type        = string
}

variable "switch_role_arn" {
  description = "What ECS switches target groups with."
  type        = string
}

variable "alarm_topic" {
  description = "Where alarms go."
  type        = string
}

variable "priority" {
  description = "Of the listener rule; unique."
  type        = number
}

variable "hostname" {
  description = "What the load balancer sends here."
  type        = string
}

variable "paths" {
  description = "And only these; with the name at most five, which is AWS' limit for a rule."
  type        = list(string)
}

variable "hidden" {
  description = "Not these among them; at most four."
  type        = list(string)
  default     = []
}

variable "image" {
  description = "With a tag or a digest."
  type        = string
}

variable "cpu" {
  description = "CPU units; 1024 is one core."
  type        = number
}

variable "memory" {
  description = "MiB."
  type        = number
}

variable "environment" {
  description = "Variables."
  type        = map(string)
}

variable "secrets" {
  description = "Variable => key in the secret."
  type        = map(string)
}

variable "secret_arn" {
  description = "The service's secret."
  type        = string
}

variable "channels" {
  description = "Variable => key in the secret that an operator fills."
  type        = map(string)
  default     = {}
}

variable "channels_arn" {
  description = "That secret, or null."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "What it is encrypted with."
  type        = string
}

variable "min_tasks" {
  description = "At least."
  type        = number
}

variable "max_tasks" {
  description = "At most."
  type        = number
}

variable "bake_minutes" {
  description = "How long the old tasks stay after the switch."
  type        = number
}

variable "log_days" {
  description = "How long logs stay."
  type        = number
}
