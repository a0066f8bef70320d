# Production.

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
    tags = { project = "platform", environment = "production", managed_by = "terraform" }
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
  environment     = "production"
  region          = var.region
  zones           = [for letter in ["a", "b", "c"] : "${var.region}${letter}"]
  cidr            = "10.10.0.0/16"
  domain          = var.domain
  certificate_arn = var.certificate_arn
  image_tag       = var.image_tag
  otlp_endpoint   = var.otlp_endpoint
  rotation        = var.rotation
  protect         = true
  copy_vault_arn  = null

  database = {
    instance_class = "db.m7g.large"
    storage_gib    = 200
    multi_az       = true
    replica        = true
    backup_days    = 35
  }
  cache = {
    node_type = "cache.m7g.large"
    nodes     = 2
  }

  app_connections = 120
  cpu             = 512
  min_tasks       = 3
  max_tasks       = 6
  bake_minutes    = 15
  log_days        = 365
  trace_ratio     = 0.1
}

output "platform" {
  value = module.platform
}
