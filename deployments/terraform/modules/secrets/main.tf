# Every secret, made here and written to Secrets Manager without ever being in the state (ephemeral values
# and write-only arguments). To rotate: raise `rotation`, apply, run the tasks `roles` and `client-*`,
# deploy. If an apply ends half way, raise it again: all must come from one.
#
# The keys are the file names that Kubernetes mounts (deployments/check/k8s.py compares them).

ephemeral "random_password" "role" {
  for_each = toset(flatten([for service in var.services : ["${service}_owner", "${service}_app"]]))
  length   = 40
  # no escaping in a URL
  special = false
}

ephemeral "random_password" "client" {
  for_each = toset(["points", "booking", "incidents"])
  length   = 64
  special  = false
}

ephemeral "random_password" "webhook" {
  length  = 64
  special = false
}

# Rotated, merchants must give their channel tokens again.
ephemeral "random_password" "line" {
  length  = 48
  special = false
}

ephemeral "random_password" "sealing" {
  length  = 48
  special = false
}

# Whom incidents are told to: only people have these addresses, and rotating the others must not touch them. So
# only the place for them is made here, and an operator fills it before the first deployment:
# aws secretsmanager put-secret-value --secret-id platform/<environment>/channels --secret-string file://…
locals {
  channels = [
    "slack_critical_url", "slack_alerts_url", "slack_general_url", "smtp_url", "mail_management_to",
    "mail_team_to", "sms_url", "sms_secret", "ticket_url", "ticket_secret",
  ]
}

resource "aws_secretsmanager_secret" "channels" {
  name                    = "platform/${var.environment}/channels"
  description             = "By hand, JSON with the keys ${join(", ", local.channels)}"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 7
}

locals {
  url = {
    for name, password in ephemeral.random_password.role :
    name => "postgres://${name}:${password.result}@${var.database_address}:5432/${split("_", name)[0]}?sslmode=require"
  }
  replica_url = var.replica_address == null ? "" : replace(local.url["booking_app"], var.database_address, var.replica_address)
  redis_url = {
    for service, password in ephemeral.random_password.redis :
    service => "rediss://${service}:${password.result}@${var.cache_address}:6379"
  }

  contents = {
    auth = {
      database_url       = local.url["auth_app"]
      redis_url          = local.redis_url["auth"]
      key_encryption_key = base64encode(ephemeral.random_password.sealing.result)
    }
    points = {
      database_url  = local.url["points_app"]
      redis_url     = local.redis_url["points"]
      client_secret = ephemeral.random_password.client["points"].result
    }
    booking = {
      database_url         = local.url["booking_app"]
      redis_url            = local.redis_url["booking"]
      client_secret        = ephemeral.random_password.client["booking"].result
      line_token_key       = ephemeral.random_password.line.result
      database_replica_url = local.replica_url # for lists only; empty is none
    }
    incidents = {
      database_url  = local.url["incidents_app"]
      redis_url     = local.redis_url["incidents"]
      client_secret = ephemeral.random_password.client["incidents"].result
      webhook_token = ephemeral.random_password.webhook.result
    }
    migrate = {
      auth_owner_url      = local.url["auth_owner"]
      points_owner_url    = local.url["points_owner"]
      booking_owner_url   = local.url["booking_owner"]
      incidents_owner_url = local.url["incidents_owner"]
    }
    roles = {
      auth_owner_password      = ephemeral.random_password.role["auth_owner"].result
      auth_app_password        = ephemeral.random_password.role["auth_app"].result
      points_owner_password    = ephemeral.random_password.role["points_owner"].result
      points_app_password      = ephemeral.random_password.role["points_app"].result
      booking_owner_password   = ephemeral.random_password.role["booking_owner"].result
      booking_app_password     = ephemeral.random_password.role["booking_app"].result
      incidents_owner_password = ephemeral.random_password.role["incidents_owner"].result
      incidents_app_password   = ephemeral.random_password.role["incidents_app"].result
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.name}: secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = toset(concat(var.services, ["migrate", "roles"]))
  name                    = "platform/${var.environment}/${each.key}"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each                 = aws_secretsmanager_secret.this
  secret_id                = each.value.id
  secret_string_wo         = jsonencode(local.contents[each.key])
  secret_string_wo_version = var.rotation
}
