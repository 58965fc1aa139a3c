#!/usr/bin/env bash
# All ws-nodes are replaced. Clients are sent away at the pace of the drain, each once, and meet a ws-node that stays.
. tests/deploy/cluster/lib.sh
load_start --settle 3
k rollout restart "deployment/$release-ws-node"
k rollout status "deployment/$release-ws-node" --timeout=120s
until_true 120 "the old ws-nodes are gone" pods_are ws-node 2
load_stop 5
expect "closes" "$(seen closes)" == "$load_clients"
expect "closes with 1012 (come back)" "$(seen 'by_code["1012"]')" == "$load_clients"
paced 2
