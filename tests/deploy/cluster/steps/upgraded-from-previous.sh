#!/usr/bin/env bash
# `helm upgrade` from the previous version of the chart, in a namespace of its own. Images of the previous version are used if
# PREVIOUS_TAG names them, else today's: then only the chart's version is another.
. tests/deploy/cluster/lib.sh
previous=$out/previous
namespace=$namespace-previous
mkdir -p "$previous"
git archive "${PREVIOUS_CHART:-d00584e}" charts/wsmesh 2>/dev/null | tar -x -C "$previous" ||
  { echo "the previous chart is not in this repository: name a commit that has one with PREVIOUS_CHART" >&2; exit 77; }
kubectl create namespace "$namespace"
at_end kubectl delete namespace "$namespace" --wait=false
tag=()
if [ -n "${PREVIOUS_TAG:-}" ]; then tag=(--set "image.tag=$PREVIOUS_TAG"); fi
today=$chart
chart=$previous/charts/wsmesh install "${tag[@]}"
chart=$today
password=$(k get secret "$release-redis" -o 'jsonpath={.data.password}')
load_start
install
no_old_pods() { k get pods -o json | jq -e 'all(.items[]; .metadata.deletionTimestamp == null and .status.phase == "Running")'; }
until_true 180 "all pods are new" no_old_pods
until_true 120 "three nodes are heard" redis_is 3
load_stop 10
[ "$password" = "$(k get secret "$release-redis" -o 'jsonpath={.data.password}')" ] || fail "the upgrade changed the Redis password"
paced 2
