# Blue-green: all new tasks beside all old ones, the switch, and a watch of `bake_minutes` during which the
# old ones stay. An alarm in that time, or tasks that do not become healthy, and ECS switches back.

resource "aws_ecs_service" "this" {
  name                          = var.service
  cluster                       = var.cluster_arn
  task_definition               = aws_ecs_task_definition.this.arn
  desired_count                 = var.min_tasks
  launch_type                   = "FARGATE"
  propagate_tags                = "SERVICE"
  enable_ecs_managed_tags       = true
  availability_zone_rebalancing = "ENABLED"
  # stops a deployment, and goes back, when `terraform apply` or CI is interrupted
  wait_for_steady_state             = true
  sigint_rollback                   = true
  health_check_grace_period_seconds = 60

  network_configuration {
    subnets          = var.subnets
    security_groups  = [var.security_group]
    assign_public_ip = false
  }

  deployment_configuration {
    strategy             = "BLUE_GREEN"
    bake_time_in_minutes = var.bake_minutes
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    enable      = true
    rollback    = true
    alarm_names = [for alarm in aws_cloudwatch_metric_alarm.rollback : alarm.alarm_name]
  }

  load_balancer {
    container_name   = "app"
    container_port   = 8080
    target_group_arn = aws_lb_target_group.this["blue"].arn

    advanced_configuration {
      alternate_target_group_arn = aws_lb_target_group.this["green"].arn
      production_listener_rule   = aws_lb_listener_rule.this.arn
      role_arn                   = var.switch_role_arn
    }
  }

  service_connect_configuration {
    enabled   = true
    namespace = var.namespace_arn

    service {
      port_name      = "grpc"
      discovery_name = "${var.service}-grpc"

      client_alias {
        dns_name = "${var.service}-grpc"
        port     = 50051
      }
      timeout {
        per_request_timeout_seconds = 15
      }
    }
    service {
      port_name      = "http"
      discovery_name = var.service

      client_alias {
        dns_name = var.service
        port     = 8080
      }
    }
  }

  lifecycle {
    # autoscaling owns the first
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.secrets]
}

# The triggers of a rollback: more than 10 % errors for 5 minutes, P95 above 1 s for 10 minutes, more than
# half of the targets unhealthy. Over both target groups, because either may have the traffic.
locals {
  groups = { for color, group in aws_lb_target_group.this : color => group.arn_suffix }

  rollback = {
    errors = {
      description = "More than 10 % of the requests have failed for 5 minutes: docs/runbooks/high-error-rate.md"
      minutes     = 5
      threshold   = 0.10
      expression  = "IF(FILL(requests_blue, 0) + FILL(requests_green, 0) > 0, (FILL(errors_blue, 0) + FILL(errors_green, 0)) / (FILL(requests_blue, 0) + FILL(requests_green, 0)), 0)"
      metrics = merge([for color in keys(local.groups) : {
        "errors_${color}"   = { color = color, name = "HTTPCode_Target_5XX_Count", stat = "Sum" }
        "requests_${color}" = { color = color, name = "RequestCount", stat = "Sum" }
      }]...)
    }
    latency = {
      description = "One request in twenty has taken more than 1 s for 10 minutes: docs/runbooks/high-p95-latency.md"
      minutes     = 10
      threshold   = 1
      expression  = "MAX([FILL(p95_blue, 0), FILL(p95_green, 0)])"
      metrics     = { for color in keys(local.groups) : "p95_${color}" => { color = color, name = "TargetResponseTime", stat = "p95" } }
    }
    health = {
      description = "More than half of the tasks are unhealthy: docs/runbooks/service-down.md"
      minutes     = 2
      threshold   = 0.5
      expression  = "IF(FILL(sick_blue, 0) + FILL(sick_green, 0) > 0, (FILL(sick_blue, 0) + FILL(sick_green, 0)) / (FILL(sick_blue, 0) + FILL(sick_green, 0) + FILL(well_blue, 0) + FILL(well_green, 0)), 0)"
      metrics = merge([for color in keys(local.groups) : {
        "sick_${color}" = { color = color, name = "UnHealthyHostCount", stat = "Average" }
        "well_${color}" = { color = color, name = "HealthyHostCount", stat = "Average" }
      }]...)
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "rollback" {
  for_each            = local.rollback
  alarm_name          = "${local.id}-rollback-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic]
  ok_actions          = [var.alarm_topic]

  metric_query {
    id          = "result"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics
    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = 60
        dimensions = {
          LoadBalancer = var.balancer_arn_suffix
          TargetGroup  = local.groups[metric_query.value.color]
        }
      }
    }
  }
}
