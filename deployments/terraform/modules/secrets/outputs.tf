output "arns" {
  value = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}

output "kms_key_arn" {
  value = aws_kms_key.this.arn
}

output "channels_arn" {
  value = aws_secretsmanager_secret.channels.arn
}

output "redis_users" {
  value = [for user in aws_elasticache_user.this : user.user_id]
}
