#!/bin/sh
# Runs one of the tasks that run once, and waits: run-task.sh ENVIRONMENT roles|migrate|client-points|…
# Needs the AWS CLI, jq, and `terraform init` done in environments/ENVIRONMENT.
set -eu
environment=${1:?usage: run-task.sh ENVIRONMENT TASK} task=${2:?usage: run-task.sh ENVIRONMENT TASK}
cd "$(dirname "$0")/environments/$environment"

platform=$(terraform output -json platform)
cluster=$(printf '%s' "$platform" | jq -er .cluster)
family=$(printf '%s' "$platform" | jq -er --arg task "$task" '.tasks[$task]')
network=$(printf '%s' "$platform" | jq -ec '{awsvpcConfiguration: {subnets: .private_subnets, securityGroups: [.security_group]}}')

arn=$(aws ecs run-task --cluster "$cluster" --task-definition "$family" --launch-type FARGATE \
    --network-configuration "$network" --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$arn"
code=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$arn" \
    --query "tasks[0].containers[?name=='task'].exitCode | [0]" --output text)
if [ "$code" != 0 ]; then
    echo "$task ended with $code; its log is in /platform/platform-$environment/tasks" >&2
    exit 1
fi
echo "$task is done"
