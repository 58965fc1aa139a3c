#!/usr/bin/env bash
# The release is ready in less than half a minute, with images that are on the machines, in a namespace that enforces the restricted
# Pod Security Standard.
. tests/deploy/cluster/lib.sh
kubectl create namespace "$namespace"
kubectl label namespace "$namespace" pod-security.kubernetes.io/{enforce,warn}=restricted
begin=$(date +%s%3N)
install
took=$(($(date +%s%3N) - begin))
k get pods -o wide
expect "milliseconds until ready" "$took" "<" "$((${READY_WITHIN:-30} * 1000))"
expect "restarts" "$(k get pods -o json | jq '[.items[].status.containerStatuses[].restartCount] | add')" == 0
until_true 30 "three nodes are heard by every server" redis_is 3
