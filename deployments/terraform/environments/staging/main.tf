# Production in small: the same modules, one zone's worth of safety less.

terraform {
  required_version = ">= 1.11"

  # bucket, key and region: backend.hcl, by `terraform init -backend-config=backend.hcl`
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "platform", environment = "staging", managed_by = "terraform" }
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
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
}

variable "otlp_endpoint" {
  description = "http://host:4317 of a collector; empty for none."
  type        = string
  default     = ""
}

variable "rotation" {
  description = "Raise it to make every secret anew."
  type        = number
  default     = 1
}

module "platform" {
  source          = "../../modules/platform"
  environment     = "staging"
  region          = var.region
  zones           = [for letter in ["a", "b"] : "${var.region}${letter}"]
  cidr            = "10.20.0.0/16"
  domain          = var.domain
  certificate_arn = var.certificate_arn
  image_tag       = var.image_tag
  otlp_endpoint   = var.otlp_endpoint
  rotation        = var.rotation
  protect         = false
  copy_vault_arn  = null

  database = {
    instance_class = "db.t4g.medium"
    storage_gib    = 50
    multi_az       = false
    replica        = false
    backup_days    = 7
  }
  cache = {
    node_type = "cache.t4g.small"
    nodes     = 1
  }

  app_connections = 60
  cpu             = 256
  min_tasks       = 1
  max_tasks       = 3
  bake_minutes    = 5
  log_days        = 30
  trace_ratio     = 1.0
}

output "platform" {
  value = module.platform
}
