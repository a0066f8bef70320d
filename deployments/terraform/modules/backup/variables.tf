variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "resources" {
  description = "What is backed up, by ARN."
  type        = list(string)
}

variable "daily_days" {
  description = "How long daily backups stay."
  type        = number
}

variable "lock" {
  description = "Nobody deletes a backup early."
  type        = bool
}

variable "copy_vault_arn" {
  description = "A vault in another region, or null."
  type        = string
}

variable "alarm_topic" {
  description = "Where alarms go."
  type        = string
}
