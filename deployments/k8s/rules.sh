#!/bin/sh
# Prints deployments/prometheus/rules as one PrometheusRule, so that there is one copy of every alert:
#   deployments/k8s/rules.sh | kubectl apply --namespace observability --filename -
set -eu
cd "$(dirname "$0")/../prometheus/rules"
cat <<HEAD
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: platform
spec:
  groups:
HEAD
for file in *.yml; do
    sed -e '/^groups:$/d' -e 's/^/  /' "$file"
done
