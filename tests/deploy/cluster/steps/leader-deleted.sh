#!/usr/bin/env bash
# The admin that leads is deleted in the middle of a job, once while nodes are added and once while one is drained. Another one goes on.
. tests/deploy/cluster/lib.sh
load_start
for replicas in 4 3; do
  first=$(leader)
  scale_by_admin "$replicas"
  say "deleting the leader, $first"
  k delete pod "${first%%[_/]*}" --wait=false
  until_true 180 "$replicas nodes, without the admin that took the job" redis_is "$replicas"
  until_true 30 "another admin leads" leader_is_not "$first"
done
load_stop 5
expect "closes" "$(seen closes)" == 0
k rollout status "deployment/$release-admin" --timeout=60s
