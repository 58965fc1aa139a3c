#!/usr/bin/env bash
# An upgrade to the production profile: clients and callers need a token, the Redis password stays, and clients with a token that the
# key of the release signs talk as before.
. tests/deploy/cluster/lib.sh
password=$(k get secret "$release-redis" -o 'jsonpath={.data.password}')
mapfile -t old < <(pods ws-node)
install --set profile=production
[ "$password" = "$(k get secret "$release-redis" -o 'jsonpath={.data.password}')" ] || fail "the upgrade changed the Redis password"
k wait --for=delete "${old[@]/#/pod/}" --timeout=1m >/dev/null
ws=$(service_address "$release-ws-node") admin_at=$(service_address "$release-admin")
# answers STATUS CURL ARGUMENTS…
answers() {
  local want=$1 got
  shift
  got=$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$@" || true)
  [ "$got" = "$want" ] || { echo "$got instead of $want"; return 1; }
}
token=$(k exec "deployment/$release-ws-node" -- /usr/local/bin/ws-node token --id 888)
admin_token=$(k get secret "$release-admin" -o 'jsonpath={.data.token}' | base64 -d)
upgrade=(--http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
until_true 20 "ws-node refuses a client without a token" answers 401 "${upgrade[@]}" "http://$ws/?id=888"
until_true 20 "ws-node lets one with a token in" answers 101 "${upgrade[@]}" -H "Authorization: Bearer $token" "http://$ws/"
until_true 20 "admin refuses a caller without a token" answers 401 "http://$admin_at/api/v1/cluster"
until_true 20 "admin answers one with its token" answers 200 -H "Authorization: Bearer $admin_token" "http://$admin_at/api/v1/cluster"
until_true 60 "every server hears every node" nodes_are 3
helm -n "$namespace" test "$release" --timeout 2m
k get secret "$release-ws-node" -o 'jsonpath={.data.jwt-key}' | base64 -d >"$out/jwt.key"
# A client may publish ten messages a second.
load_rate=$((load_rate < load_clients * 8 ? load_rate : load_clients * 8)) load_start --jwt-key-file "$out/jwt.key"
load_stop
expect "closes" "$(seen closes)" == 0
