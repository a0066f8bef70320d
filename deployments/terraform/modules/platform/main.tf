# The whole system on AWS. The environments say how large.

locals {
  # Of each process: the health check's connection, and the one for elections and leaders (kit::postgres::leader).
  connections_beside_the_pool = 2
  # For commands such as `auth grant`, and a process that is being replaced.
  spare_connections = 4

  name     = "platform-${var.environment}"
  services = ["auth", "points", "booking", "incidents"]
}

module "network" {
  source       = "../network"
  name         = local.name
  region       = var.region
  zones        = var.zones
  cidr         = var.cidr
  nat_per_zone = var.protect
}

module "registry" {
  source = "../registry"
  images = concat(local.services, ["migrate"])
}

module "cluster" {
  source          = "../cluster"
  name            = local.name
  vpc_id          = module.network.vpc_id
  cidr            = var.cidr
  public_subnets  = module.network.public_subnets
  certificate_arn = var.certificate_arn
  protect         = var.protect
}

module "database" {
  source                = "../database"
  name                  = local.name
  vpc_id                = module.network.vpc_id
  subnets               = module.network.data_subnets
  client_security_group = module.cluster.services_security_group
  instance_class        = var.database.instance_class
  storage_gib           = var.database.storage_gib
  # four application roles, four owners of 10, and 20 for operators
  max_connections = 4 * var.app_connections + 60
  multi_az        = var.database.multi_az
  replica         = var.database.replica
  backup_days     = var.database.backup_days
  protect         = var.protect
  alarm_topic     = module.cluster.alarm_topic
}

module "cache" {
  source                = "../cache"
  name                  = local.name
  vpc_id                = module.network.vpc_id
  subnets               = module.network.data_subnets
  client_security_group = module.cluster.services_security_group
  users                 = module.secrets.redis_users
  node_type             = var.cache.node_type
  nodes                 = var.cache.nodes
  snapshot_days         = var.database.backup_days
  alarm_topic           = module.cluster.alarm_topic
}

module "secrets" {
  source           = "../secrets"
  name             = local.name
  environment      = var.environment
  services         = local.services
  database_address = module.database.address
  replica_address  = module.database.replica_address
  cache_address    = module.cache.address
  rotation         = var.rotation
}

module "tasks" {
  source            = "../tasks"
  name              = local.name
  region            = var.region
  services          = local.services
  database_address  = module.database.address
  master_secret_arn = module.database.master_secret_arn
  secret_arns       = module.secrets.arns
  kms_key_arn       = module.secrets.kms_key_arn
  image_urls        = module.registry.urls
  image_tag         = var.image_tag
  app_connections   = var.app_connections
}

locals {
  environment = {
    HTTP_LISTEN                 = "0.0.0.0:8080"
    GRPC_LISTEN                 = "0.0.0.0:50051"
    ADMIN_LISTEN                = "0.0.0.0:9100"
    DEPLOYMENT_ENVIRONMENT      = var.environment
    OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
    OTEL_TRACES_SAMPLER_ARG     = tostring(var.trace_ratio)
    LOG_FORMAT                  = "json"
    MIMALLOC_ALLOW_THP          = "0" # the allocator's: no huge pages
    RATE_LIMIT                  = "1200/1m"
    RATE_LIMIT_STRICT           = "60/1m"
    # The load balancer, the incident console at auth, and the task's own proxy (Service Connect): nobody else
    # reaches the HTTP ports.
    TRUSTED_PROXIES  = "${var.cidr},127.0.0.0/8"
    LOG_LEVEL        = "info"
    ALERTING_ENABLED = "true"
    # blue and green together, at their most, stay below the role's CONNECTION LIMIT
    DATABASE_POOL_MAX = tostring(floor((var.app_connections - local.spare_connections) / (2 * var.max_tasks)) - local.connections_beside_the_pool)
  }
  points_currency = "JPY" # one point pays one minor unit of it; points and booking have to agree
  client = {
    DATABASE_URL          = "database_url"
    REDIS_URL             = "redis_url"
    SERVICE_CLIENT_SECRET = "client_secret"
  }

  service = {
    auth = {
      priority    = 10
      memory      = 1024
      paths       = ["/v1/*", "/.well-known/*"]
      environment = { MAIL_FROM = "Accounts <accounts@${var.domain}>" }
      channels    = { SMTP_URL = "smtp_url" } # codes for members; in production it does not start without
      secrets = {
        DATABASE_URL            = "database_url"
        REDIS_URL               = "redis_url"
        AUTH_KEY_ENCRYPTION_KEY = "key_encryption_key"
      }
    }
    points = {
      priority = 20
      memory   = 512
      paths    = ["/v1/*"]
      environment = {
        AUTH_GRPC_URL             = "http://auth-grpc:50051"
        SERVICE_CLIENT_ID         = "points"
        POINTS_CURRENCY           = local.points_currency
        ISSUANCE_MAX_RATE_PERCENT = "20"
        ISSUANCE_BUDGET_POINTS    = "10000000"
      }
      secrets = local.client
    }
    booking = {
      priority = 30
      memory   = 512
      paths    = ["/v1/*"]
      environment = {
        AUTH_GRPC_URL     = "http://auth-grpc:50051"
        POINTS_GRPC_URL   = "http://points-grpc:50051"
        SERVICE_CLIENT_ID = "booking"
        POINTS_CURRENCY   = local.points_currency
      }
      secrets = merge(
        local.client,
        { LINE_TOKEN_KEY = "line_token_key" },
        var.database.replica ? { DATABASE_REPLICA_URL = "database_replica_url" } : {},
      )
    }
    incidents = {
      priority = 40
      memory   = 512
      # status page, console and API; the webhook is for Alertmanager
      paths  = ["/*"]
      hidden = ["/v1/alerts*", "/docs*", "/openapi.json", "/ready"]
      environment = {
        AUTH_GRPC_URL     = "http://auth-grpc:50051"
        AUTH_HTTP_URL     = "http://auth:8080" # where operators log in
        SERVICE_CLIENT_ID = "incidents"
        PUBLIC_URL        = "https://incidents.${var.domain}"
        # who is told of which severity (docs/incident-response.md)
        NOTIFY_P0     = "slack-critical,mail-management,sms"
        NOTIFY_P1     = "slack-alerts,mail-team"
        NOTIFY_P2     = "slack-general"
        NOTIFY_P3     = "ticket"
        NOTIFY_REPEAT = "5m"
        MAIL_FROM     = "Incidents <incidents@${var.domain}>"
      }
      channels = {
        SLACK_CRITICAL_URL = "slack_critical_url"
        SLACK_ALERTS_URL   = "slack_alerts_url"
        SLACK_GENERAL_URL  = "slack_general_url"
        SMTP_URL           = "smtp_url"
        MAIL_MANAGEMENT_TO = "mail_management_to"
        MAIL_TEAM_TO       = "mail_team_to"
        SMS_URL            = "sms_url"
        SMS_SECRET         = "sms_secret"
        TICKET_URL         = "ticket_url"
        TICKET_SECRET      = "ticket_secret"
      }
      secrets = merge(local.client, { WEBHOOK_TOKEN = "webhook_token" })
    }
  }
}

module "service" {
  source              = "../service"
  for_each            = local.service
  name                = local.name
  service             = each.key
  region              = var.region
  vpc_id              = module.network.vpc_id
  subnets             = module.network.private_subnets
  security_group      = module.cluster.services_security_group
  cluster_arn         = module.cluster.arn
  cluster_name        = module.cluster.name
  namespace_arn       = module.cluster.namespace_arn
  listener_arn        = module.cluster.listener_arn
  balancer_arn_suffix = module.cluster.balancer_arn_suffix
  switch_role_arn     = module.cluster.switch_role_arn
  alarm_topic         = module.cluster.alarm_topic
  priority            = each.value.priority
  hostname            = "${each.key}.${var.domain}"
  paths               = each.value.paths
  hidden              = try(each.value.hidden, [])
  image               = "${module.registry.urls[each.key]}:${var.image_tag}"
  cpu                 = var.cpu
  memory              = each.value.memory
  environment         = merge(local.environment, each.value.environment)
  secrets             = each.value.secrets
  secret_arn          = module.secrets.arns[each.key]
  channels            = try(each.value.channels, {})
  channels_arn        = can(each.value.channels) ? module.secrets.channels_arn : null
  kms_key_arn         = module.secrets.kms_key_arn
  min_tasks           = var.min_tasks
  max_tasks           = var.max_tasks
  bake_minutes        = var.bake_minutes
  log_days            = var.log_days
}

module "backup" {
  source         = "../backup"
  name           = local.name
  resources      = [module.database.arn]
  daily_days     = 35
  lock           = var.protect
  copy_vault_arn = var.copy_vault_arn
  alarm_topic    = module.cluster.alarm_topic
}
