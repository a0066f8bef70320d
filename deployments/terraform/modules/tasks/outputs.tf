output "families" {
  value = { for name, task in aws_ecs_task_definition.this : name => task.family }
}
