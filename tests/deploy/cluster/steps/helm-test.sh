#!/usr/bin/env bash
# `helm test` opens a WebSocket and sees a message come back through every Redis node.
. tests/deploy/cluster/lib.sh
helm -n "$namespace" test "$release" --timeout 2m 2>&1 | tee "$out/$step.said"
for node in redis-0 redis-1 redis-2; do
  grep -Eq "^$node +ok: " "$out/$step.said" || fail "nothing came back through $node"
done
