# One service on Fargate: its tasks, its way from the load balancer, its autoscaling. deployment.tf is how a
# new version comes, and goes back.

locals {
  id = "${var.name}-${var.service}"
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/platform/${var.name}/${var.service}"
  retention_in_days = var.log_days
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.id
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  container_definitions = jsonencode([{
    name                   = "app"
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    user                   = "65532:65532"
    linuxParameters        = { initProcessEnabled = false, capabilities = { drop = ["ALL"] } }
    # preStop has no equal here: the target is drained first (deregistration_delay), then comes SIGTERM
    stopTimeout = 45
    portMappings = [
      { name = "http", containerPort = 8080, protocol = "tcp", appProtocol = "http" },
      { name = "grpc", containerPort = 50051, protocol = "tcp", appProtocol = "grpc" },
      { name = "admin", containerPort = 9100, protocol = "tcp" },
    ]
    environment = [for name, value in var.environment : { name = name, value = value }]
    # one key of a secret each; ECS fetches them, the task itself may not
    secrets = concat(
      [for name, key in var.secrets : { name = name, valueFrom = "${var.secret_arn}:${key}::" }],
      [for name, key in var.channels : { name = name, valueFrom = "${var.channels_arn}:${key}::" }],
    )
    # ECS ignores the image's HEALTHCHECK
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/app", "healthcheck"]
      interval    = 10
      timeout     = 3
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "app"
        # a slow log must not stop the service
        "mode"            = "non-blocking"
        "max-buffer-size" = "4m"
      }
    }
  }])
}

resource "aws_iam_role" "execution" {
  name               = "${local.id}-execution"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  name = "own-secrets"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = compact([var.secret_arn, var.channels_arn]) },
      { Effect = "Allow", Action = ["kms:Decrypt"], Resource = var.kms_key_arn },
    ]
  })
}

# The service itself needs nothing of AWS.
resource "aws_iam_role" "task" {
  name               = "${local.id}-task"
  assume_role_policy = local.assumed_by_tasks
}

locals {
  assumed_by_tasks = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

# Two target groups: the one in use, and the next.
resource "aws_lb_target_group" "this" {
  for_each             = toset(["blue", "green"])
  name                 = "${local.id}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  port                 = 8080
  protocol             = "HTTP"
  deregistration_delay = 20

  # on the admin port: the public one may be full, which is no reason to end the task
  health_check {
    port                = 9100
    path                = "/ready"
    matcher             = "200"
    interval            = 10
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

# ECS moves the weights when it switches; Terraform leaves them alone.
resource "aws_lb_listener_rule" "this" {
  listener_arn = var.listener_arn
  priority     = var.priority

  condition {
    host_header {
      values = [var.hostname]
    }
  }
  condition {
    path_pattern {
      values = var.paths
    }
  }

  action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["blue"].arn
        weight = 100
      }
      target_group {
        arn    = aws_lb_target_group.this["green"].arn
        weight = 0
      }
    }
  }

  lifecycle {
    ignore_changes = [action]
  }
}

# What of it is not for the world. Before the rule above.
resource "aws_lb_listener_rule" "hidden" {
  count        = length(var.hidden) > 0 ? 1 : 0
  listener_arn = var.listener_arn
  priority     = var.priority - 1

  condition {
    host_header {
      values = [var.hostname]
    }
  }
  condition {
    path_pattern {
      values = var.hidden
    }
  }

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "${local.id}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 70
    scale_in_cooldown  = 300
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
