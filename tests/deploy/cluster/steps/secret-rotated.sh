#!/usr/bin/env bash
# The password of Redis is changed in its Secret: nothing restarts, nothing is lost. Later a Redis pod and a ws-node start with it.
. tests/deploy/cluster/lib.sh
before=$(containers redis ws-node game-logic admin)
new=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
load_start
k patch secret "$release-redis" --type merge -p "{\"stringData\": {\"password\": \"$new\"}}"
accepted() {
  local pod
  for pod in $(pods redis); do
    k exec "$pod" -c redis -- env REDISCLI_AUTH="$new" redis-cli ping | grep -qx PONG || return 1
  done
}
until_true 240 "every Redis takes the new password" accepted
nodes_are 3
unchanged "$before" redis ws-node game-logic admin
k delete pod "$release-redis-0" --wait=true
until_true 90 "a Redis that starts with the new password is heard" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
k delete pod "$(pods ws-node | head -1)" --wait=true
k rollout status "deployment/$release-ws-node" --timeout=60s
until_true 60 "so is everything by a ws-node that starts with it" nodes_are 3
