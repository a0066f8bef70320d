# What runs once, before the services: the databases and roles, the schemas, the services' credentials at
# auth. `aws ecs run-task` starts each; deployments/terraform/run-task.sh waits and says how it ended.

locals {
  app_environment = {
    HTTP_LISTEN  = "127.0.0.1:8080"
    GRPC_LISTEN  = "127.0.0.1:50051"
    ADMIN_LISTEN = "127.0.0.1:9100"
    LOG_FORMAT   = "json"
  }
  tasks = merge({
    roles = {
      image      = "public.ecr.aws/docker/library/postgres:18.6-trixie"
      entrypoint = ["/bin/sh", "-c"]
      command    = ["printf '%s' \"$ROLES_SQL\" | psql --no-psqlrc --dbname postgres --variable app_connections=${var.app_connections}"]
      environment = {
        PGHOST    = var.database_address
        PGUSER    = "postgres"
        PGSSLMODE = "require"
        ROLES_SQL = file("${path.module}/../../../postgres/roles.sql")
      }
      secrets = merge(
        { PGPASSWORD = "${var.master_secret_arn}:password::" },
        { for role in local.roles : "${upper(role)}_PASSWORD" => "${var.secret_arns["roles"]}:${role}_password::" },
      )
    }
    migrate = {
      image       = "${var.image_urls["migrate"]}:${var.image_tag}"
      entrypoint  = null
      command     = ["all", "up"]
      environment = {}
      secrets     = { for service in var.services : "${upper(service)}_OWNER_URL" => "${var.secret_arns["migrate"]}:${service}_owner_url::" }
    }
    }, {
    # the secret is a file for the command, so the shell-less image gets it by a volume that a first
    # container fills
    for client in ["points", "booking", "incidents"] : "client-${client}" => {
      image       = "${var.image_urls["auth"]}:${var.image_tag}"
      entrypoint  = null
      command     = ["client", "--id", client, "--secret-file", "/run/client/secret"]
      environment = local.app_environment
      secrets = {
        DATABASE_URL            = "${var.secret_arns["auth"]}:database_url::"
        AUTH_KEY_ENCRYPTION_KEY = "${var.secret_arns["auth"]}:key_encryption_key::"
      }
    }
  })
  roles = flatten([for service in var.services : ["${service}_owner", "${service}_app"]])
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/platform/${var.name}/tasks"
  retention_in_days = 90
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = local.tasks
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  volume {
    name = "client"
  }

  container_definitions = jsonencode(concat([{
    name                   = "task"
    image                  = each.value.image
    essential              = true
    readonlyRootFilesystem = true
    entryPoint             = each.value.entrypoint
    command                = each.value.command
    environment            = [for name, value in each.value.environment : { name = name, value = value }]
    secrets                = [for name, from in each.value.secrets : { name = name, valueFrom = from }]
    mountPoints            = [{ sourceVolume = "client", containerPath = "/run/client", readOnly = true }]
    dependsOn              = startswith(each.key, "client-") ? [{ containerName = "secret", condition = "SUCCESS" }] : []
    logConfiguration       = local.logs
    }], startswith(each.key, "client-") ? [{
    name                   = "secret"
    image                  = "public.ecr.aws/docker/library/busybox:1.37"
    essential              = false
    readonlyRootFilesystem = true
    command                = ["sh", "-c", "printf '%s' \"$SECRET\" >/run/client/secret"]
    secrets                = [{ name = "SECRET", valueFrom = "${var.secret_arns[trimprefix(each.key, "client-")]}:client_secret::" }]
    mountPoints            = [{ sourceVolume = "client", containerPath = "/run/client" }]
    logConfiguration       = local.logs
  }] : []))
}

locals {
  logs = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.this.name
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = "task"
    }
  }
}

resource "aws_iam_role" "execution" {
  name = "${var.name}-tasks-execution"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = concat(values(var.secret_arns), [var.master_secret_arn]) },
      { Effect = "Allow", Action = ["kms:Decrypt"], Resource = var.kms_key_arn },
    ]
  })
}
