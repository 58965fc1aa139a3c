#!/usr/bin/env bash
# The password of Redis is changed as the runbook says, with the one before it beside it, and a Redis pod starts at once: before the
# servers have the new one. It is heard, nothing restarts, nothing is lost. Then the one before it is taken out of the Secret.
. tests/deploy/cluster/lib.sh
pod=$release-redis-1
others=$(containers ws-node game-logic admin)
old=$(k get secret "$release-redis" -o 'jsonpath={.data.password}')
new=$(openssl rand -hex 24 | openssl base64 -A)
load_start
k patch secret "$release-redis" -p "{\"data\": {\"password\": \"$new\", \"previous-password\": \"$old\"}}"
k delete pod "$pod" --wait=true
until_true 60 "$pod is ready" k wait "pod/$pod" --for=condition=Ready --timeout=5s
# takes POD PASSWORD: whether Redis lets somebody in with this password (base64).
takes() { k exec "$1" -c redis -- env REDISCLI_AUTH="$(base64 -d <<<"$2")" redis-cli ping | grep -qx PONG; }
takes "$pod" "$new" || fail "$pod started without the new password"
takes "$pod" "$old" || fail "$pod does not take the password before it, which the Secret names"
until_true 60 "three nodes are heard, whichever password a server has" redis_is 3
everywhere() {
  local one
  for one in $(pods redis); do takes "$one" "$new" || return 1; done
}
until_true 240 "every Redis takes the new password" everywhere
k patch secret "$release-redis" --type json -p '[{"op": "remove", "path": "/data/previous-password"}]'
load_stop 10
expect "closes" "$(seen closes)" == 0
until_true 20 "three nodes are heard" redis_is 3
unchanged "$others" ws-node game-logic admin
