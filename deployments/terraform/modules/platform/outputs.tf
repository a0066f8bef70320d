output "balancer" {
  description = "What *.<domain> is an alias of."
  value       = module.cluster.balancer_dns_name
}

output "cluster" {
  value = module.cluster.name
}

output "registry" {
  value = module.registry.urls
}

output "private_subnets" {
  value = module.network.private_subnets
}

output "security_group" {
  value = module.cluster.services_security_group
}

output "tasks" {
  description = "Task definitions of what runs once, for run-task.sh."
  value       = module.tasks.families
}

output "rollback_alarms" {
  value = { for name, service in module.service : name => service.rollback_alarms }
}

output "replica" {
  value = module.database.replica_address
}
