#!/usr/bin/env bash
# Tokens of Kubernetes open admin's API (TokenReview): a service account may do what the role of its group says. Other accounts, tokens
# for another audience and those of an account that is gone are refused. `admin doctor` says it when admin may not ask.
. tests/deploy/cluster/lib.sh
granted=$namespace-$release-tokenreviews
restore() {
  kubectl delete clusterrolebinding "$granted" --ignore-not-found
  install
  k delete secret,serviceaccount -l wsmesh-test=callers
}
at_end restore
k create secret generic wsmesh-test-tokens --from-file=tokens.toml=/dev/stdin <<T
[[kubernetes]]
group = "system:serviceaccounts:$namespace"
role = "viewer"
[[kubernetes]]
user = "system:serviceaccount:$namespace:wsmesh-test-publisher"
role = "publisher"
[[kubernetes]]
user = "system:serviceaccount:$namespace:wsmesh-test-operator"
role = "operator"
T
k label secret wsmesh-test-tokens wsmesh-test=callers
for role in viewer publisher operator gone; do
  k create serviceaccount "wsmesh-test-$role"
  k label serviceaccount "wsmesh-test-$role" wsmesh-test=callers
done
install --set admin.tokens.existingSecret=wsmesh-test-tokens,admin.settings.kubernetes_token_review=true,admin.settings.kubernetes_audience[0]=wsmesh

# caller ROLE [AUDIENCE]: its token goes into $out/$step.token.ROLE, which curl reads.
caller() {
  local token
  token=$(k create token "wsmesh-test-$1" --audience "${2:-wsmesh}" --duration 10m)
  header "$1" "$token"
}
header() { printf 'Authorization: Bearer %s\n' "$2" >"$out/$step.token.$1"; }
address=$(service_address "$release-admin")
# gets STATUS CALLER METHOD PATH [BODY]: what admin answers to this caller.
gets() {
  local want=$1 as=$2 method=$3 path=$4 body=() got
  if (($# > 4)); then body=(-H 'Content-Type: application/json' -d "$5"); fi
  got=$(curl -sS -m 10 -o "$out/$step.answer" -w '%{http_code}' -X "$method" -H "@$out/$step.token.$as" "${body[@]}" "http://$address$path")
  [ "$got" = "$want" ] || { echo "$as: $method $path: $got instead of $want: $(cat "$out/$step.answer")"; return 1; }
}
say_hello='{"event": "hello", "payload": {}}'

caller viewer
until_true 20 "while admin may not ask Kubernetes, a token is neither right nor wrong" gets 503 viewer GET /api/v1/nodes
# A pod of before may be asked while it ends: it needs no such right.
names_the_right() {
  k exec "deployment/$release-admin" -- /usr/local/bin/admin doctor >"$out/$step.doctor" || true
  fix=$(sed -n 's/^ *fix *\(kubectl create clusterrolebinding .*tokenreviews.*\)$/\1/p' "$out/$step.doctor")
  [ -n "$fix" ]
}
until_true 60 "the doctor names the right that is missing" names_the_right
cat "$out/$step.doctor"
bash -c "$fix"

until_true 60 "a viewer may read" gets 200 viewer GET /api/v1/nodes
gets 403 viewer POST /api/v1/broadcast "$say_hello" || fail "a viewer may send"
caller publisher
gets 202 publisher POST /api/v1/broadcast "$say_hello" || gets 200 publisher POST /api/v1/broadcast "$say_hello" || fail "a publisher may not send"
gets 403 publisher POST /api/v1/nodes/scale '{"replicas": 3}' || fail "a publisher may scale"
caller operator
gets 200 operator POST /api/v1/nodes/scale '{"replicas": 3}' || fail "an operator may not scale"
say "each may what its role says"

header nobody not-a-token
gets 401 nobody GET /api/v1/nodes || fail "what is no token opens the API"
caller viewer https://kubernetes.default.svc
gets 401 viewer GET /api/v1/nodes || fail "a token for another audience opens the API"
header admin "$(k create token "$release-admin" --audience wsmesh --duration 10m)"
gets 200 admin GET /api/v1/nodes || fail "the group of the namespace does not open the API"
header stranger "$(kubectl -n default create token default --audience wsmesh --duration 10m)"
gets 401 stranger GET /api/v1/nodes || gets 403 stranger GET /api/v1/nodes || fail "an account without a role may read"
caller gone
k delete serviceaccount wsmesh-test-gone
gets 401 gone GET /api/v1/nodes || fail "the token of an account that is gone opens the API"
say "others are refused"
