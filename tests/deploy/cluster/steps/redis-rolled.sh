#!/usr/bin/env bash
# All Redis pods are replaced, one by one.
. tests/deploy/cluster/lib.sh
before=$(containers ws-node game-logic admin)
load_start
k rollout restart "statefulset/$release-redis"
k rollout status "statefulset/$release-redis" --timeout=300s
until_true 90 "three nodes are heard again" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
unchanged "$before" ws-node game-logic admin
