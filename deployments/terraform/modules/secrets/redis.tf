# Redis's users: one per service, for its own keys only, as deployments/redis/users.acl says for every deployment.
# Their passwords stay in this module: they are in the services' URLs, and write-only here.

ephemeral "random_password" "redis" {
  for_each = toset(var.services)
  length   = 40
  # no escaping in a URL
  special = false
}

locals {
  redis_users = {
    for match in regexall("(?m)^user (\\w+) (on .*)$", file("${path.module}/../../../redis/users.acl")) :
    match[0] => match[1]
  }
  # A new user has no key and no channel, and ElastiCache refuses to speak of what it forbids to everybody: CONFIG.
  redis_access = {
    for service in var.services :
    service => replace(local.redis_users[service], "/ (resetkeys|resetchannels|[+]config[|]get)\\b/", "")
  }
}

resource "aws_elasticache_user" "this" {
  for_each             = toset(var.services)
  user_id              = "${var.name}-${each.key}"
  user_name            = each.key
  engine               = "valkey"
  access_string        = local.redis_access[each.key]
  passwords_wo         = ephemeral.random_password.redis[each.key].result
  passwords_wo_version = var.rotation
}
