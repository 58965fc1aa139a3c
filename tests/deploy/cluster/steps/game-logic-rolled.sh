#!/usr/bin/env bash
# All game-logics are replaced while matches run: matches end with a reason, and none without a word.
. tests/deploy/cluster/lib.sh
load_start --players 12
sleep 5
k rollout restart "deployment/$release-game-logic"
k rollout status "deployment/$release-game-logic" --timeout=120s
until_true 120 "the old ones are gone" pods_are game-logic 2
load_stop 10
expect "closes" "$(seen closes)" == 0
expect "matches found" "$(seen matches.found)" ">" 0
expect "matches that ended without a word" "$(seen matches.silent)" == 0
expect "matches lost with their server" "$(seen 'matches.ended["server-lost"] // 0')" == 0
