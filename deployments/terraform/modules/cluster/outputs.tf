output "arn" {
  value = aws_ecs_cluster.this.arn
}

output "name" {
  value = aws_ecs_cluster.this.name
}

output "namespace_arn" {
  value = aws_service_discovery_http_namespace.this.arn
}

output "services_security_group" {
  value = aws_security_group.services.id
}

output "balancer_arn_suffix" {
  value = aws_lb.this.arn_suffix
}

output "balancer_dns_name" {
  value = aws_lb.this.dns_name
}

output "listener_arn" {
  value = aws_lb_listener.https.arn
}

output "switch_role_arn" {
  value = aws_iam_role.switch.arn
}

output "alarm_topic" {
  value = aws_sns_topic.alarms.arn
}
