#!/usr/bin/env bash
# Installs the chart on the cluster that kubectl points at, and does to it what operators and accidents do, while clients connect
# through its Service and count what they miss. At the end it prints a table, and removes everything. Each step is a script in
# tests/deploy/cluster/steps, whose head says what must come of it.
#
#   CLUSTER_LOAD="kind load docker-image" make cluster-test   loads local images into the cluster first
#   CLUSTER_LOAD="minikube image load"    make cluster-test
#   make cluster-test                                         the cluster pulls them (IMAGE_REGISTRY=registry.example.com/, IMAGE_TAG=0.1.0)
#   STEP="redis-deleted rights" make cluster-test             these steps only, after an install
#   KEEP=1                                                    leaves the release, and uses one that is there
#   LOAD_RATE=500 LOAD_CLIENTS=100 READY_WITHIN=60            for a small or busy machine (defaults: 2000 messages/s, 250, 30 s)
#
# The address of a machine of the cluster must be reachable from here (CLUSTER_HOST names another one): clients connect to a NodePort.
set -euo pipefail
cd "$(dirname "$0")/../.."
export NAMESPACE=${NAMESPACE:-wsmesh-test} RELEASE=wsmesh CHART=${CHART:-charts/wsmesh}
export REDIS_IMAGE=${REDIS_IMAGE:-redis:8-alpine} LOAD_RATE=${LOAD_RATE:-2000} LOAD_CLIENTS=${LOAD_CLIENTS:-250}
all=(install helm-test notes clients redis-deleted redis-scaled redis-scaled-outside leader-deleted ws-node-scaled ws-node-rolled
  game-logic-rolled upgraded redis-rolled secret-rotated secret-rotated-with-previous redis-hung rights doctor callers two-releases
  upgraded-from-previous production uninstalled)
version=${IMAGE_TAG:-$(sed -n 's/^appVersion: //p' "$CHART/Chart.yaml")}
targets=${CARGO_TARGET_DIR:-target}
say() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }

tests/deploy/need.sh jq jq "what reads the answers of admin and Kubernetes"
for tool in kubectl helm cargo curl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
kubectl version >/dev/null || { echo "kubectl cannot reach a cluster: start one (kind create cluster) or set KUBECONFIG" >&2; exit 1; }
read -ra steps <<<"${STEP:-${all[*]}}"
for name in "${steps[@]}"; do
  [ -f "tests/deploy/cluster/steps/$name.sh" ] || { echo "there is no step $name: take some of ${all[*]}" >&2; exit 64; }
done
if kubectl get namespace "$NAMESPACE" >/dev/null 2>&1; then
  if [ -z "${KEEP:-}" ]; then
    echo "the namespace $NAMESPACE exists already: remove it (kubectl delete namespace $NAMESPACE), set NAMESPACE, or use it with KEEP=1" >&2
    exit 1
  fi
elif [ "${steps[0]}" != install ]; then
  steps=(install "${steps[@]}")
fi

say "building the clients"
if [ -z "${LOAD_PROGRAM:-}" ]; then
  cargo build --locked --release -p wsmesh-cluster
  export LOAD_PROGRAM=$targets/release/wsmesh-cluster
fi
if [ -z "${CHECK_PROGRAM:-}" ]; then
  cargo build --locked -p e2e --bin wsmesh-check
  export CHECK_PROGRAM=$targets/debug/wsmesh-check
fi
if [ -n "${CLUSTER_LOAD:-}" ]; then
  say "loading images into the cluster: $CLUSTER_LOAD"
  images=("wsmesh/ws-node:$version" "wsmesh/game-logic:$version" "wsmesh/admin:$version")
  # The cluster can pull this one if it is not here.
  if docker image inspect "$REDIS_IMAGE" >/dev/null 2>&1; then images+=("$REDIS_IMAGE"); fi
  read -ra load <<<"$CLUSTER_LOAD"
  for image in "${images[@]}"; do "${load[@]}" "$image"; done
fi

OUT=${OUT:-$(mktemp -d)}
export OUT
mkdir -p "$OUT"
table=$OUT/table
printf '%-28s %5s %7s %8s %6s %7s %6s %6s %9s  %s\n' step s rate due lost doubled closes twice 'most/s' verdict >"$table"

cleanup() {
  local code=$?
  printf '\n'
  cat "$table"
  if [ -z "${KEEP:-}" ]; then
    helm -n "$NAMESPACE" uninstall "$RELEASE" --wait --timeout 2m >/dev/null 2>&1 || true
    kubectl delete namespace "$NAMESPACE" --wait=true --timeout=2m >/dev/null 2>&1 || true
  fi
  echo "everything that the steps said is in $OUT"
  exit "$code"
}
trap cleanup EXIT

# The state of the cluster, for whoever looks for the cause.
state() {
  kubectl -n "$NAMESPACE" get pods -o wide || true
  kubectl -n "$NAMESPACE" get events --sort-by=.lastTimestamp 2>/dev/null | tail -20 || true
  local pod
  for pod in $(kubectl -n "$NAMESPACE" get pods -o name); do
    echo "--- $pod"
    kubectl -n "$NAMESPACE" logs "$pod" --all-containers --tail=40 || true
  done
}

passed=0 failed=0 left_out=0
for name in "${steps[@]}"; do
  say "$name: $(sed -n '2s/^# //p' "tests/deploy/cluster/steps/$name.sh")"
  begin=$SECONDS code=0
  STEP_NAME=$name bash "tests/deploy/cluster/steps/$name.sh" 2>&1 | tee "$OUT/$name.log" || code=${PIPESTATUS[0]}
  case $code in
    0) verdict=ok passed=$((passed + 1)) ;;
    77) verdict='LEFT OUT' left_out=$((left_out + 1)) ;;
    *)
      verdict=FAILED failed=$((failed + 1))
      state >"$OUT/$name.state" 2>&1
      ;;
  esac
  seen=('' '' '' '' '' '' '')
  if [ -s "$OUT/$name.json" ]; then
    mapfile -t seen < <(jq -r '.rate, .due, .lost, .doubled, .closes, .closed_twice, .most_in_a_second' "$OUT/$name.json")
  fi
  why=$(sed -n 's/^FAILED: /: /p' "$OUT/$name.log" | tail -1)
  if [ "$code" = 77 ]; then why=": $(tail -1 "$OUT/$name.log")"; fi
  printf '%-28s %5s %7s %8s %6s %7s %6s %6s %9s  %s\n' "$name" "$((SECONDS - begin))" "${seen[@]}" "$verdict$why" >>"$table"
  if [ "$name" = install ] && [ "$code" != 0 ]; then break; fi
done

say "$passed passed, $failed failed, $left_out left out, $((${#steps[@]} - passed - failed - left_out)) not tried"
((failed == 0))
