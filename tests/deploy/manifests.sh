#!/usr/bin/env bash
# Renders the chart into plain manifests, or checks that the committed ones are up to date.
#
#   manifests.sh [--check] FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm}
command -v "$helm" >/dev/null || { echo "helm 3 is missing: see https://helm.sh/docs/intro/install/" >&2; exit 1; }

check=
if [ "$1" = --check ]; then check=1; shift; fi
folder=$1

# Without the labels that only Helm uses. The manifests contain no secrets: production refers to those that the user creates (see
# k8s/production/kustomization.yaml), the demo needs none.
render() {
  echo "# Rendered from charts/wsmesh by make manifests. Do not edit."
  "$helm" template wsmesh charts/wsmesh --namespace wsmesh --kube-version 1.34.0 --skip-tests "$@" | sed '/managed-by: Helm$/d; /helm.sh\/chart: /d'
}

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
render --set profile=demo,redis.auth.enabled=false,jaeger.enabled=true >"$out/demo.yaml"
render --set redis.auth.existingSecret=wsmesh-redis,wsNode.jwt.existingSecret=wsmesh-ws-node,admin.token.existingSecret=wsmesh-admin >"$out/production.yaml"

for name in demo production; do
  file=$folder/$name/wsmesh.yaml
  if [ -z "$check" ]; then
    cp "$out/$name.yaml" "$file"; chmod 644 "$file"; echo "$file"
  elif ! diff -u "$file" "$out/$name.yaml"; then
    echo "$file is not up to date with the chart: run make manifests and commit the result" >&2
    exit 1
  fi
done
