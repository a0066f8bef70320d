variable "environment" {
  description = "staging or production."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "zones" {
  description = "Availability zones; at least two."
  type        = list(string)
}

variable "cidr" {
  description = "The network, a /16."
  type        = string
}

variable "domain" {
  description = "The services are <service>.<domain>."
  type        = string
}

variable "certificate_arn" {
  description = "TLS certificate of *.<domain>, in ACM."
  type        = string
}

variable "image_tag" {
  description = "The version to run."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$", var.image_tag))
    error_message = "A semantic version, such as 1.2.3: tags that move are not deployed."
  }
}

variable "database" {
  description = "Size and safety of PostgreSQL."
  type = object({
    instance_class = string
    storage_gib    = number
    multi_az       = bool
    replica        = bool
    backup_days    = number
  })
}

variable "cache" {
  description = "Size of Redis, and its standbys."
  type = object({
    node_type = string
    nodes     = number
  })
}

variable "app_connections" {
  description = "CONNECTION LIMIT of each service's role."
  type        = number
}

variable "cpu" {
  description = "CPU units of a task; 1024 is one core."
  type        = number
}

variable "min_tasks" {
  description = "Tasks of each service, at least."
  type        = number
}

variable "max_tasks" {
  description = "Tasks of each service, at most."
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

variable "trace_ratio" {
  description = "The share of traces that is recorded."
  type        = number
}

variable "otlp_endpoint" {
  description = "http://host:4317 of a collector; empty for none."
  type        = string
}

variable "rotation" {
  description = "Raise it to make every secret anew."
  type        = number
}

variable "protect" {
  description = "Production: refuses deletion, locks backups, a NAT gateway in each zone."
  type        = bool
}

variable "copy_vault_arn" {
  description = "A backup vault in another region, or null."
  type        = string
}
