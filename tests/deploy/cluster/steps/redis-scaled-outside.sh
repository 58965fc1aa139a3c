#!/usr/bin/env bash
# Redis is scaled 3 to 4 by kubectl, and the new pod becomes a node by itself. Then 4 to 3 by kubectl, without admin having been asked.
. tests/deploy/cluster/lib.sh
load_start
k scale statefulset "$release-redis" --replicas=4
until_true 90 "the fourth node carries messages" redis_is 4
k scale statefulset "$release-redis" --replicas=3
until_true 120 "three nodes are left" redis_is 3
load_stop 5
expect "closes" "$(seen closes)" == 0
k get events.events.k8s.io -o custom-columns=REASON:.reason,NOTE:.note --sort-by=.metadata.creationTimestamp | grep -i redis | tail -20 || true
