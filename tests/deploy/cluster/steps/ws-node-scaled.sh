#!/usr/bin/env bash
# Four ws-nodes, two of them with clients; scaled to two, the empty ones go, although they are the older ones, and nobody is closed.
. tests/deploy/cluster/lib.sh
mapfile -t old < <(pods ws-node)
k scale deployment "$release-ws-node" --replicas=4
k rollout status "deployment/$release-ws-node" --timeout=90s
# Clients come to the new ones only: those have a label of their own.
for pod in $(pods ws-node); do
  case " ${old[*]} " in *" $pod "*) ;; *) k label pod "$pod" wsmesh-test=full ;; esac
done
mapfile -t full < <(k get pods -l wsmesh-test=full -o name | sed 's#^pod/##' | sort)
expect "new ws-nodes" "${#full[@]}" == $((4 - ${#old[@]}))
k apply -f - <<Y
{apiVersion: v1, kind: Service, metadata: {name: wsmesh-test-full}, spec: {type: NodePort, selector: {wsmesh-test: full}, ports: [{port: 9000}]}}
Y
at_end k delete service wsmesh-test-full --ignore-not-found
reached() {
  k get endpointslices -l kubernetes.io/service-name=wsmesh-test-full -o json |
    jq -e '[.items[].endpoints[]? | select(.conditions.ready)] | length == 2'
}
until_true 30 "the new ws-nodes can be reached" reached
LOAD_URL=ws://$(service_address wsmesh-test-full)/ load_start
costs_tell() {
  local pod
  for pod in "${full[@]}"; do
    [ "$(k get pod "$pod" -o 'jsonpath={.metadata.annotations.controller\.kubernetes\.io/pod-deletion-cost}')" -gt 0 ] || return 1
  done
}
until_true 40 "Kubernetes was told which ws-nodes have clients" costs_tell
k get pods -l app.kubernetes.io/component=ws-node -o 'custom-columns=NAME:.metadata.name,COST:.metadata.annotations.controller\.kubernetes\.io/pod-deletion-cost'
k scale deployment "$release-ws-node" --replicas=2
until_true 90 "two ws-nodes are left" pods_are ws-node 2
load_stop
[ "$(pods ws-node)" = "$(printf '%s\n' "${full[@]}")" ] || fail "ws-nodes with clients went: left are $(pods ws-node | tr '\n' ' ')"
expect "closes" "$(seen closes)" == 0
