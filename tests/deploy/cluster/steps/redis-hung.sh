#!/usr/bin/env bash
# A Redis hangs (SIGSTOP): messages take other nodes, its probes fail, and Kubernetes starts it again. Needs to see the processes of the
# cluster's machine, as with kind or a cluster on this machine; else it is left out.
. tests/deploy/cluster/lib.sh
pod=$release-redis-2
id=$(k get pod "$pod" -o json | jq -r '.status.containerStatuses[] | select(.name == "redis") | .containerID | sub(".*//"; "")')
process=
for candidate in $(pgrep -f 'redis-server|valkey-server' || true); do
  if grep -q "$id" "/proc/$candidate/cgroup" 2>/dev/null; then process=$candidate; fi
done
if [ -z "$process" ] || ! kill -0 "$process" 2>/dev/null; then
  echo "the process of $pod is not one of this machine" >&2
  exit 77
fi
restarts() { k get pod "$pod" -o json | jq '[.status.containerStatuses[] | select(.name == "redis") | .restartCount] | add'; }
restarted=$(restarts)
load_start
say "stopping process $process of $pod"
at_end kill -CONT "$process"
kill -STOP "$process"
unready() { [ "$(k get pod "$pod" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = False ]; }
until_true 60 "the pod is not ready any more" unready
until_true 150 "Kubernetes started it again, and it is heard" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
expect "restarts of $pod" "$(restarts)" ">" "$restarted"
