#!/usr/bin/env bash
# Tests k8s.sh, terraform.sh and workflows.sh: plants one fault at a time in a copy of the tree and expects
# the script to find it. planted-cloud.sh [k8s|terraform|workflows]
# shellcheck disable=SC2016  # what is planted is in single quotes because it is not ours to expand
set -euo pipefail
cd "$(dirname "$0")/../.."

only=${1:-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failed=0

fresh() {
    rm -rf "${copy:?}/tree"
    mkdir -p "$copy/tree/docs"
    cp -R deployments .github .ci scripts Makefile "$copy/tree/"
    rm -rf "$copy/tree/deployments/secrets"
    find crates -path '*/src/*.rs' | while read -r file; do
        mkdir -p "$copy/tree/$(dirname "$file")"
        cp "$file" "$copy/tree/$file"
    done
}

expect() { # PART WHAT COMPLAINT COMMAND…: after COMMAND in the copy, PART.sh fails and says COMPLAINT
    local part=$1 what=$2 complaint=$3 output
    [ -z "$only" ] || [ "$only" = "$part" ] || return 0
    shift 3
    fresh
    (cd "$copy/tree" && "$@")
    if output=$("$copy/tree/deployments/check/$part.sh" 2>&1); then
        printf 'MISSED  %s\n' "$what"
        failed=1
    elif ! grep -qF -- "$complaint" <<<"$output"; then
        printf 'MISSED  %s: red, but not for it\n%s\n' "$what" "$output"
        failed=1
    else
        printf 'found   %s\n' "$what"
    fi
}

# shellcheck disable=SC2329  # called by `expect`
edit() { # FILE SED-EXPRESSION, which must change something
    sed -i.before "$2" "$1"
    if cmp -s "$1" "$1.before"; then
        printf 'nothing to edit in %s: %s\n' "$1" "$2"
        exit 1
    fi
    rm "$1.before"
}

service=deployments/k8s/base/service
components=deployments/k8s/components
overlays=deployments/k8s/overlays
expect k8s "a directory that is not there" "FAIL  kubernetes: kustomize renders" \
    edit deployments/k8s/base/kustomization.yaml 's/  - points$/  - point/'
expect k8s "a key that Kubernetes does not know" "enableServiceLink" \
    edit $service/deployment.yaml 's/enableServiceLinks: false/enableServiceLink: false/'
expect k8s "a container that may write" "its root file system can be written" \
    edit $service/deployment.yaml 's/readOnlyRootFilesystem: true/readOnlyRootFilesystem: false/'
expect k8s "a Job as root" "may run as root" \
    edit deployments/k8s/jobs/migrate.yaml 's/runAsNonRoot: true/runAsNonRoot: false/'
expect k8s "liveness that asks the database" "livenessProbe does not ask /live" \
    edit $service/deployment.yaml '/livenessProbe/,/timeout/s|/live|/ready|'
expect k8s "readiness on the port that clients can fill" "readinessProbe does not ask /ready on the admin port" \
    edit $service/deployment.yaml '/readinessProbe/,/timeout/s|port: admin|port: http|'
expect k8s "a stop without time to drain" "is killed before it has drained" \
    edit $service/deployment.yaml 's/terminationGracePeriodSeconds: 45/terminationGracePeriodSeconds: 15/'
expect k8s "replicas beside an autoscaler" "sets replicas" \
    edit $service/deployment.yaml 's/  revisionHistoryLimit: 3/  replicas: 2/'
expect k8s "a variable that nothing reads" "nothing reads POINTS_URL" \
    edit deployments/k8s/base/booking/kustomization.yaml 's/POINTS_GRPC_URL/POINTS_URL/'
expect k8s "a variable that is missing" "incidents does not start without it" \
    edit deployments/k8s/base/incidents/kustomization.yaml '/WEBHOOK_TOKEN_FILE/d'
expect k8s "a secret's key that nobody makes" "has no key webhook-token" \
    edit deployments/k8s/base/incidents/kustomization.yaml 's|app/webhook_token|app/webhook-token|'
expect k8s "a secret that Terraform does not make" "Terraform makes no platform/staging/point" \
    edit $overlays/staging/before/kustomization.yaml 's|platform/staging/points}|platform/staging/point}|'
expect k8s "a secret that deploy.sh forgets" "dev: Deployment auth: the secret auth has no key key_encryption_key" \
    edit deployments/k8s/deploy.sh 's/--from-file=key_encryption_key=/--from-file=encryption_key=/'
expect k8s "a channel that has no place" "SMS_URL is not set, and incidents cannot tell people by it" \
    edit $components/channels/kustomization.yaml '/SMS_URL_FILE/d'
expect k8s "a channel's key that nobody fills" "the secret channels has no key pager_url" \
    edit $components/channels/kustomization.yaml 's|channels/sms_url|channels/pager_url|'
expect k8s "an auth whose mail goes nowhere" "no code or notice of auth reaches anybody" \
    edit $components/channels/kustomization.yaml '0,/SMTP_URL_FILE/{/SMTP_URL_FILE/d}'
expect k8s "everybody let out to the world" "may reach the world at" \
    edit deployments/k8s/base/network-policies.yaml '/name: auth-sends-mail/,/policyTypes/s|app.kubernetes.io/name: auth|app.kubernetes.io/part-of: platform|'
expect k8s "one Redis user for all" "does not come to Redis as its own user" \
    edit deployments/k8s/deploy.sh 's|redis_url="$made/redis_${service}_url"|redis_url="$made/redis_points_url"|'
expect k8s "a console behind which everybody is one address" "TRUSTED_PROXIES is not set" \
    edit $overlays/prod/kustomization.yaml '/TRUSTED_PROXIES/d'
expect k8s "a rollback that may take back anything" "changes more than the services that may be taken back" \
    edit $components/rollback/role.yaml '/resourceNames: .*/d'
expect k8s "a rollback that may make what it likes" "may ['create', 'get', 'patch']" \
    edit $components/rollback/role.yaml '0,/verbs: \[get, patch\]/s//verbs: [get, patch, create]/'
expect k8s "gRPC to one pod only" "is not a headless service" \
    edit deployments/k8s/base/booking/kustomization.yaml 's|http://points-grpc:50051|http://points:50051|'
expect k8s "a call that the network refuses" "no network policy allows its calls to points (ingress)" \
    edit deployments/k8s/base/network-policies.yaml '/name: points-grpc/,/50051/s/name: booking/name: bookings/'
expect k8s "no denial by default" "not everything is denied by default" \
    edit deployments/k8s/base/network-policies.yaml '0,/policyTypes: \[Ingress, Egress\]/s//policyTypes: [Ingress]/'
expect k8s "more pods than connections" "are more than the role's 60" \
    edit $overlays/staging/kustomization.yaml 's|/spec/maxReplicas, value: 3|/spec/maxReplicas, value: 12|'
expect k8s "a field that no CRD has" "stableServices" \
    edit $components/rollouts/blue-green.yaml 's/activeService: booking/stableServices: booking/'
expect k8s "a trigger on a metric that nobody registers" "no code registers the metric http_errors_total" \
    edit $components/rollouts/analysis.yaml 's/sum(rate(http_requests_total/sum(rate(http_errors_total/'
expect k8s "a trigger whose PromQL does not parse" "PromQL does not parse" \
    edit $components/rollouts/analysis.yaml 's/sum by (le) (rate/sum by (le (rate/'
expect k8s "an analysis without its argument" "does not give ['hash']" \
    edit $components/rollouts/canary.yaml '/name: hash/,/podTemplateHash/d'
expect k8s "a route to a port that is not there" "there is no points:8082" \
    edit $components/gateway/gateway.yaml 's/name: points, port: 8080/name: points, port: 8082/'
expect k8s "a monitor of a port that is not there" "has no port metrics" \
    edit $components/prometheus-operator/podmonitor.yaml 's/port: admin/port: metrics/'
expect k8s "an image without a version" "has no version" \
    edit $overlays/prod/kustomization.yaml 's/newTag: 0.1.0/newTag: latest/'
expect k8s "a lost group of alerts" "loses the group" \
    edit deployments/k8s/rules.sh 's/for file in \*.yml/for file in data.yml/'

modules=deployments/terraform/modules
expect terraform "a file that is not formatted" "FAIL  terraform: fmt" \
    edit $modules/cache/main.tf 's/^  name       = var.name/  name = var.name/'
expect terraform "a column that is not one, without terraform" "its \`=\` is not below the others'" \
    edit $modules/cache/main.tf 's/^  name       = var.name/  name = var.name/'
expect terraform "an argument that does not exist" "no such argument: multi_zone" \
    edit $modules/database/main.tf 's/multi_az               = var.multi_az/multi_zone             = var.multi_az/'
expect terraform "an argument of a block in a block" "advanced_configuration: no such argument: alternate_target" \
    edit $modules/service/deployment.tf 's/alternate_target_group_arn/alternate_target/'
expect terraform "an argument that is missing" "family is required" \
    edit $modules/tasks/main.tf 's/^  family .*//'
expect terraform "a resource that the provider does not have" "the provider has no aws_elasticache_cluster_group" \
    edit $modules/cache/main.tf 's/aws_elasticache_subnet_group/aws_elasticache_cluster_group/'
expect terraform "a reference to nothing" "aws_lb.that does not exist" \
    edit $modules/cluster/main.tf 's/load_balancer_arn = aws_lb.this.arn/load_balancer_arn = aws_lb.that.arn/'
expect terraform "a variable that nobody declares" "var.subnet_ids is not declared" \
    edit $modules/cache/main.tf 's/var.subnets/var.subnet_ids/'
expect terraform "a module's output that does not exist" "the module has no output endpoint" \
    edit $modules/platform/main.tf 's/module.cache.address/module.cache.endpoint/'
expect terraform "a service without what it needs" "booking does not start without POINTS_GRPC_URL" \
    edit $modules/platform/main.tf '/POINTS_GRPC_URL/d'

expect terraform "health checks on the port that clients can fill" "the balancer does not ask the admin port" \
    edit $modules/service/main.tf '/port                = 9100/d'
expect terraform "health checks that no rule lets in" "not let through (ingress of services)" \
    edit $modules/cluster/main.tf '/"aws_vpc_security_group_ingress_rule" "probes"/,/^}/d'
expect terraform "a channel that has no place" "TICKET_SECRET is not set, and incidents cannot tell people by it" \
    edit $modules/platform/main.tf '/TICKET_SECRET /d'
expect terraform "a channel's key that nobody fills" "the secret channels has no key pager_url" \
    edit $modules/platform/main.tf 's/= "sms_url"/= "pager_url"/'

expect terraform "one Redis user for two" "booking does not come to Redis as its own user" \
    edit $modules/secrets/main.tf 's/local.redis_url\["booking"\]/local.redis_url["points"]/'
expect terraform "a Redis without users" "it has no user group" \
    edit $modules/cache/main.tf '/user_group_ids/d'
expect terraform "an auth whose mail goes nowhere" "no code or notice of auth reaches anybody" \
    edit $modules/platform/main.tf 's/channels    = { SMTP_URL = "smtp_url" }//'

expect workflows "a signature that is looked up by tag" "is verified or copied by its tag" \
    edit .github/workflows/deploy.yml 's|cosign verify "$image@$digest"|cosign verify "$image:$VERSION"|'
expect workflows "a signer who only begins like ours" "no whole identity" \
    edit .github/workflows/deploy.yml 's|--certificate-identity "|--certificate-identity-regexp "^|'
expect workflows "an action by its tag" "is not pinned by its commit" \
    edit .github/workflows/ci.yml '0,/checkout@[0-9a-f]*/s//checkout@v5/'
expect workflows "two commits of one action" "is pinned elsewhere to another commit" \
    edit .github/workflows/ci.yml '0,/checkout@08/s//checkout@18/'
expect workflows "a make target that is gone" "there is no make demonstrate" \
    edit .github/workflows/ci.yml 's/make demo/make demonstrate/'
expect workflows "an expression in a script" "puts an expression into a script" \
    edit .github/workflows/deploy.yml 's|.github/smoke.sh "$DOMAIN"|.github/smoke.sh "${{ vars.DOMAIN }}"|'
expect workflows "a job that needs one that is not there" "FAIL  workflows: actionlint" \
    edit .github/workflows/release.yml 's/needs: \[version, check\]/needs: [version, tests]/'
exit $failed
