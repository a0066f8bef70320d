#!/bin/sh
# Deploys an overlay to the cluster that kubectl points at: deployments/k8s/deploy.sh dev|staging|prod
# First what comes before (namespace, secrets, Jobs), then the services. Run again, it changes nothing that
# is right. docs/deployment.md has the story.
set -eu
environment=${1:?usage: deploy.sh dev|staging|prod}
cd "$(dirname "$0")"
overlay=overlays/$environment
[ -d "$overlay" ] || { echo "there is no $overlay" >&2; exit 64; }

namespace=platform-$environment
in_namespace() { kubectl --namespace "$namespace" "$@"; }

# of KIND NAME FILES…: made or changed, from files, so that no secret is an argument
from_files() {
    kind=$1 name=$2
    shift 2
    # shellcheck disable=SC2086  # `secret generic` is two words
    in_namespace create $kind "$name" "$@" --dry-run=client --output yaml | in_namespace apply --filename -
}

kubectl apply --filename "$overlay/before/namespace.yaml"

if [ "$environment" = dev ]; then
    ../secrets.sh
    made=../secrets
    from_files "secret generic" postgres --from-file="$made/postgres_password"
    set --
    for file in "$made"/*_owner_password "$made"/*_app_password; do set -- "$@" --from-file="$file"; done
    from_files "secret generic" roles "$@"
    set --
    for file in "$made"/redis_*_password; do set -- "$@" --from-file="$file"; done
    from_files "secret generic" redis "$@"
    set --
    for file in "$made"/*_owner_url; do set -- "$@" --from-file="$file"; done
    from_files "secret generic" migrate "$@"
    for service in auth points booking incidents; do
        set -- --from-file=redis_url="$made/redis_${service}_url" --from-file=database_url="$made/${service}_database_url"
        case $service in
            auth) set -- "$@" --from-file=key_encryption_key="$made/auth_key_encryption_key" ;;
            *) set -- "$@" --from-file=client_secret="$made/${service}_client_secret" ;;
        esac
        [ $service != booking ] || set -- "$@" --from-file=line_token_key="$made/line_token_key"
        [ $service != incidents ] || set -- "$@" --from-file=webhook_token="$made/alert_webhook_token"
        from_files "secret generic" $service "$@"
    done
    from_files configmap roles --from-file=../postgres/roles.sh --from-file=../postgres/roles.sql
    from_files configmap redis --from-file=../redis/acl.sh --from-file=../redis/users.acl
fi

# A Job cannot be changed, only made anew.
in_namespace delete job roles migrate clients --ignore-not-found
kubectl apply --kustomize "$overlay/before"
in_namespace wait --for=condition=complete --timeout=600s job/migrate job/clients

kubectl apply --kustomize "$overlay"
for service in auth points booking incidents; do
    if [ "$environment" = dev ]; then
        in_namespace rollout status --timeout=300s "deployment/$service"
    else
        echo "follow with: kubectl argo rollouts --namespace $namespace get rollout $service --watch"
    fi
done
