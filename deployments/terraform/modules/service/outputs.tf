output "task_definition" {
  value = aws_ecs_task_definition.this.arn
}

output "rollback_alarms" {
  value = [for alarm in aws_cloudwatch_metric_alarm.rollback : alarm.alarm_name]
}
