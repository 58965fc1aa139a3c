#!/usr/bin/env bash
# Installs the chart on the current cluster of kubectl, in a new namespace that enforces the restricted Pod Security Standard.
# Two clients on two ws-nodes talk to each other and to game-logic through its three Redis: first with the demo profile, then
# after an upgrade to production, which must refuse clients without a token. Then it removes everything.
#
#   CLUSTER_LOAD="kind load docker-image" make cluster-test      loads local images into the cluster first
#   CLUSTER_LOAD="minikube image load"    make cluster-test
#   make cluster-test                                            the cluster pulls them (IMAGE_REGISTRY=registry.example.com/)
set -euo pipefail
cd "$(dirname "$0")/../.."
namespace=${NAMESPACE:-wsmesh-test}
release=wsmesh
redis_image=${REDIS_IMAGE:-redis:8-alpine}
registry=${IMAGE_REGISTRY:-}
version=$(sed -n 's/^appVersion: //p' charts/wsmesh/Chart.yaml)
say() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }
k() { kubectl -n "$namespace" "$@"; }

for tool in kubectl helm cargo curl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
kubectl version >/dev/null || { echo "kubectl cannot reach a cluster: start one (kind create cluster) or set KUBECONFIG" >&2; exit 1; }
if kubectl get namespace "$namespace" >/dev/null 2>&1; then
  echo "the namespace $namespace exists already: remove it (kubectl delete namespace $namespace) or set NAMESPACE" >&2
  exit 1
fi

work=$(mktemp -d)
forwards=()
cleanup() {
  local code=$?
  for pid in "${forwards[@]}"; do kill "$pid" 2>/dev/null || true; done
  if ((code != 0)); then
    say "failed: the state of the cluster"
    k get pods -o wide || true
    k get events --sort-by=.lastTimestamp 2>/dev/null | tail -20 || true
    for pod in $(k get pods -o name); do echo "--- $pod"; k logs "$pod" --tail=20 || true; done
  fi
  helm -n "$namespace" uninstall "$release" --wait --timeout 2m >/dev/null 2>&1 || true
  kubectl delete namespace "$namespace" --wait=true --timeout=2m >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT

# forward TARGET PORT: makes a port of a pod or service reachable on this machine and sets `forwarded` to ADDRESS:PORT.
forward() {
  local log
  log=$(mktemp "$work/forward.XXXX")
  k port-forward "$1" ":$2" >"$log" 2>&1 &
  forwards+=($!)
  for _ in $(seq 100); do
    forwarded=$(sed -n 's/^Forwarding from \(127.0.0.1:[0-9]*\) .*/\1/p' "$log" | head -1)
    [ -n "$forwarded" ] && return
    sleep 0.1
  done
  cat "$log" >&2
  return 1
}

install() {
  helm upgrade --install "$release" charts/wsmesh -n "$namespace" --wait --timeout "${TIMEOUT:-4m}" \
    --set "image.registry=$registry,redis.image=$redis_image" "$@"
}

say "building the check"
cargo build --locked -p e2e --bin wsmesh-check
check=${CARGO_TARGET_DIR:-target}/debug/wsmesh-check

if [ -n "${CLUSTER_LOAD:-}" ]; then
  say "loading images into the cluster: $CLUSTER_LOAD"
  images=("wsmesh/ws-node:$version" "wsmesh/game-logic:$version" "wsmesh/admin:$version")
  # The cluster can pull this one if it is not here.
  if docker image inspect "$redis_image" >/dev/null 2>&1; then images+=("$redis_image"); fi
  read -ra load <<<"$CLUSTER_LOAD"
  for image in "${images[@]}"; do "${load[@]}" "$image"; done
fi

say "installing, demo profile"
kubectl create namespace "$namespace"
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
install --set profile=demo
k get pods -o wide

say "clients on two ws-nodes"
mapfile -t nodes < <(k get pods -l app.kubernetes.io/component=ws-node -o name)
urls=()
for node in "${nodes[@]}"; do
  forward "$node" 9000
  urls+=(--node "ws://$forwarded/")
done
forward "service/$release-admin" 9100
"$check" "${urls[@]}" --admin "http://$forwarded" --ws-nodes 2 --game-logics 2

say "upgrading to the production profile"
password=$(k get secret "$release-redis" -o jsonpath='{.data.password}')
install --set profile=production
[ "$password" = "$(k get secret "$release-redis" -o jsonpath='{.data.password}')" ] \
  || { echo "the upgrade changed the Redis password" >&2; exit 1; }
k wait --for=delete "${nodes[@]}" --timeout=1m >/dev/null
# Several attempts, because pods of the previous profile may still be stopping.
expect() { # status, what, curl arguments…
  local want=$1 what=$2 got=
  shift 2
  for _ in $(seq 40); do
    got=$(curl -s -o /dev/null -m 2 -w '%{http_code}' "$@" || true)
    [ "$got" = "$want" ] && { echo "$what: $got"; return; }
    sleep 0.5
  done
  echo "$what: $got instead of $want" >&2
  return 1
}
token=$(k exec "deployment/$release-ws-node" -- /usr/local/bin/ws-node token --id 888)
admin_token=$(k get secret "$release-admin" -o jsonpath='{.data.token}' | base64 -d)
upgrade=(-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
forward "service/$release-ws-node" 9000
ws=$forwarded
forward "service/$release-admin" 9100
admin=$forwarded
expect 401 "ws-node without a token" --http1.1 "${upgrade[@]}" "http://$ws/?id=888"
expect 101 "ws-node with a token" --http1.1 "${upgrade[@]}" -H "Authorization: Bearer $token" "http://$ws/"
expect 401 "admin without a token" "http://$admin/api/v1/cluster"
expect 200 "admin with its token" -H "Authorization: Bearer $admin_token" "http://$admin/api/v1/cluster"

say "removing"
for pid in "${forwards[@]}"; do kill "$pid" 2>/dev/null || true; done
forwards=()
helm -n "$namespace" uninstall "$release" --wait --timeout 2m
say "passed"
