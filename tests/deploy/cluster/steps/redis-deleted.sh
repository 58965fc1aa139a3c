#!/usr/bin/env bash
# A Redis pod is deleted and comes back with another address: nobody is closed, nothing is lost.
. tests/deploy/cluster/lib.sh
before=$(containers ws-node game-logic admin)
load_start
k delete pod "$release-redis-1" --wait=true
until_true 90 "three nodes are heard again" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
unchanged "$before" ws-node game-logic admin
