#!/usr/bin/env bash
# `helm upgrade` with changed values: clients move at the drain's pace. What was scaled by hand stays, Redis does not restart.
. tests/deploy/cluster/lib.sh
k scale deployment "$release-game-logic" --replicas=3
k rollout status "deployment/$release-game-logic" --timeout=60s
before=$(containers redis)
load_start --settle 3
install --set log.level=debug,drain.preStopSleepSeconds=3
k rollout status "deployment/$release-ws-node" --timeout=120s
until_true 120 "the old ws-nodes are gone" pods_are ws-node 2
load_stop 5
expect "game-logics" "$(k get deployment "$release-game-logic" -o 'jsonpath={.spec.replicas}')" == 3
unchanged "$before" redis
paced 2
k scale deployment "$release-game-logic" --replicas=2
until_true 60 "two game-logics are left" pods_are game-logic 2
