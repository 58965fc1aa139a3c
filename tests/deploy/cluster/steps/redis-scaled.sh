#!/usr/bin/env bash
# Redis is scaled 3 to 5 to 3 through admin. No other pod restarts, nobody is closed, and Events of the StatefulSet tell what was done.
. tests/deploy/cluster/lib.sh
before=$(containers ws-node game-logic admin)
load_start
scale_by_admin 5
until_true 120 "five nodes carry messages" redis_is 5
scale_by_admin 3
until_true 180 "three nodes are left" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
unchanged "$before" ws-node game-logic admin
k get events --field-selector "involvedObject.kind=StatefulSet,involvedObject.name=$release-redis" \
  -o custom-columns=REASON:.reason,MESSAGE:.message --sort-by=.metadata.creationTimestamp | tee "$out/$step.events"
for reason in ScaleStarted NodeJoined NodeLeft Scaled; do
  grep -q "^$reason " "$out/$step.events" || fail "no Event says $reason"
done
