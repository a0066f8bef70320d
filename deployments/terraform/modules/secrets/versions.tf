terraform {
  # write-only arguments and ephemeral values
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # passwords_wo of aws_elasticache_user
      version = "~> 6.47"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}
