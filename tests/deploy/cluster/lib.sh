#!/usr/bin/env bash
# What the steps of cluster-test.sh share. Sourced by each of them; cluster-test.sh exports the variables.
#
#   $namespace $release $chart   where the release is, and of which chart
#   $out/$step.*                 what the step keeps; $out/$step.json: what clients saw, written by load_stop
set -euo pipefail
# Failed commands inside functions and substitutions end a step, too.
set -E
shopt -s inherit_errexit

namespace=${NAMESPACE:?run tests/deploy/cluster-test.sh} release=${RELEASE:?} chart=${CHART:?} out=${OUT:?} step=${STEP_NAME:?}
redis_image=${REDIS_IMAGE:?} load_program=${LOAD_PROGRAM:?} load_rate=${LOAD_RATE:?} load_clients=${LOAD_CLIENTS:?}
values=tests/deploy/cluster/values.yaml

say() { printf -- '--- %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
k() { kubectl -n "$namespace" "$@"; }

# at_end COMMAND…: is run when the step ends, however it ends; the last one first.
ending=()
at_end() { ending=("$(printf '%q ' "$@")" "${ending[@]}"); }
end() {
  local command
  for command in "${ending[@]}"; do eval "$command" >/dev/null 2>&1 || true; done
}
trap end EXIT

# expect WHAT NUMBER OPERATOR NUMBER: compares, and shows both.
expect() {
  local holds=no
  printf '%s: %s (wanted %s %s)\n' "$1" "$2" "$3" "$4"
  case $3 in
    '==') [ "$2" -eq "$4" ] && holds=yes ;;
    '<=') [ "$2" -le "$4" ] && holds=yes ;;
    '>=') [ "$2" -ge "$4" ] && holds=yes ;;
    '<') [ "$2" -lt "$4" ] && holds=yes ;;
    '>') [ "$2" -gt "$4" ] && holds=yes ;;
  esac
  [ "$holds" = yes ] || fail "$1: $2, wanted $3 $4"
}

# until_true SECONDS WHAT COMMAND…: repeats a command until it succeeds.
until_true() {
  local seconds=$1 what=$2 end=$((SECONDS + $1)) from=$SECONDS
  shift 2
  until "$@" >"$out/$step.attempt" 2>&1; do
    if ((SECONDS >= end)); then
      tail -5 "$out/$step.attempt" >&2
      fail "not within $seconds s: $what"
    fi
    sleep 0.5
  done
  say "$what (after $((SECONDS - from)) s)"
}

# install OPTIONS…: installs or upgrades the release with the values of this test and these options.
install() {
  helm upgrade --install "$release" "$chart" -n "$namespace" --wait --timeout "${TIMEOUT:-4m}" \
    --values "$values" --set "image.registry=${IMAGE_REGISTRY:-},image.tag=${IMAGE_TAG:-},redis.image=$redis_image" "$@" >"$out/$step.helm" ||
    { cat "$out/$step.helm"; return 1; }
}

node_address() {
  if [ -n "${CLUSTER_HOST:-}" ]; then echo "$CLUSTER_HOST"; return; fi
  kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}'
}

# service_address SERVICE: HOST:PORT of a NodePort Service, from this machine.
service_address() {
  echo "$(node_address):$(k get service "$1" -o jsonpath='{.spec.ports[0].nodePort}')"
}

# admin METHOD PATH [BODY]: asks admin, with its token if there is one, and prints the answer.
admin() {
  local method=$1 path=$2 token
  local arguments=(-sS --fail-with-body -m 20 --retry 5 --retry-connrefused --retry-delay 1 -X "$method")
  token=$(k get secret "$release-admin" -o 'jsonpath={.data.token}' 2>/dev/null | base64 -d || true)
  if [ -n "$token" ]; then arguments+=(-H "Authorization: Bearer $token"); fi
  if (($# > 2)); then arguments+=(-H 'Content-Type: application/json' -d "$3"); fi
  curl "${arguments[@]}" "http://$(service_address "$release-admin")$path"
}

# nodes_are N: admin has N active nodes, which every server hears, and no warning.
nodes_are() {
  local nodes
  nodes=$(admin GET /api/v1/nodes)
  jq -e --argjson wanted "$1" '
    ([.nodes[] | select(.state == "active")] | length) == $wanted
    and ([.nodes[] | select(.state != "active" and .state != "gone")] | length) == 0
    and ([.nodes[] | select(.state == "active" and (.notHeardBy | length) > 0)] | length) == 0
    and (.warnings | length) == 0' <<<"$nodes" >/dev/null || {
    jq -c '{nodes: [.nodes[] | {id, state, deaf: [.notHeardBy[].server]}], warnings}' <<<"$nodes"
    return 1
  }
}

# redis_is N: there are N Redis pods, all ready, and they are the nodes.
redis_is() {
  [ "$(k get statefulset "$release-redis" -o 'jsonpath={.spec.replicas}/{.status.readyReplicas}/{.status.replicas}')" = "$1/$1/$1" ] && nodes_are "$1"
}

scale_by_admin() { admin POST /api/v1/nodes/scale "{\"replicas\": $1}" | jq -c . ; }

# pods COMPONENT: names of its pods that are not ending, one a line.
pods() {
  k get pods -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1" -o json |
    jq -r '.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name' | sort
}

# pods_are COMPONENT N: it has so many pods, ending ones included.
pods_are() {
  (($(k get pods -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1" -o name | wc -l) == $2))
}

# containers COMPONENT…: what changes when a pod is replaced or restarted.
containers() {
  local component
  for component in "$@"; do
    k get pods -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$component" -o json |
      jq -r '.items[] | select(.metadata.deletionTimestamp == null) | "\(.metadata.name) \(.metadata.uid) \([.status.containerStatuses[]?.restartCount] | add)"'
  done | sort
}

# unchanged BEFORE COMPONENT…: no pod of these was replaced or restarted since `containers` said BEFORE.
unchanged() {
  local before=$1
  shift
  diff <(printf '%s\n' "$before") <(containers "$@") || fail "pods of $* were replaced or restarted"
}

leader() { k get lease "$release-admin" -o 'jsonpath={.spec.holderIdentity}'; }
leader_is_not() { [ "$(leader)" != "$1" ]; }

# load_start OPTIONS…: clients connect through the Service and begin to send.
load_start() {
  local url=${LOAD_URL:-ws://$(service_address "$release-ws-node")/} end=$((SECONDS + 90))
  : >"$out/$step.load"
  "$load_program" --url "$url" --rate "$load_rate" --clients "$load_clients" "$@" >"$out/$step.load" 2>"$out/$step.load.err" &
  load_pid=$!
  at_end load_end
  until grep -q '^ready' "$out/$step.load"; do
    kill -0 "$load_pid" 2>/dev/null || { cat "$out/$step.load.err" >&2; fail "the clients ended before they were connected"; }
    ((SECONDS < end)) || { kill "$load_pid"; fail "the clients did not connect"; }
    sleep 0.2
  done
  say "$load_clients clients send $load_rate messages/s through $url"
  # Some of it before anything happens.
  sleep 3
}

# load_end: ends the load if it runs, and keeps what it saw. Sets load_code.
load_end() {
  if [ -z "$load_pid" ]; then return; fi
  kill -TERM "$load_pid" 2>/dev/null || true
  load_code=0
  wait "$load_pid" || load_code=$?
  load_pid=
  tail -1 "$out/$step.load" | grep '^{' >"$out/$step.json" || true
  cat "$out/$step.load.err" >&2
}

# load_stop [SECONDS]: ends the load after so many more seconds (3), and checks that nothing was lost, doubled or not answered,
# under enough load.
load_stop() {
  sleep "${1:-3}"
  load_end
  jq . "$out/$step.json"
  [ "$load_code" = 0 ] || fail "the clients saw what must not happen, or too little: the reasons are above"
}

# seen FIELD: a number of what clients saw.
seen() { jq -r ".$1" "$out/$step.json"; }

# paced WS_NODES: clients were closed, and came back, at the pace of the drain: by each ws-node that stopped, 20 a second as values.yaml
# says, each at a random moment, so that some seconds have more.
paced() {
  expect "most closes within a second" "$(seen most_in_a_second)" '<=' $(($1 * 35))
  expect "most clients that came back within a second" "$(seen most_back_in_a_second)" '<=' $(($1 * 40))
  expect "clients that were closed twice" "$(seen closed_twice)" == 0
}
