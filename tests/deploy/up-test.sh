#!/usr/bin/env bash
# Starts docker-compose.yml under its own project name. Two clients on two ws-nodes talk to each other and to game-logic through
# its three Redis, then again with one Redis stopped, with a fourth one that admin adds, and with one killed for good; their trace must be
# in Jaeger; then every service must stop gracefully and in time. It uses the images of `make images`. Ports 9000 to 9009, 9100, 16686
# and 4318 must be free.
set -euo pipefail
cd "$(dirname "$0")/../.."
export COMPOSE_PROFILES=traces COMPOSE_PROJECT_NAME=wsmesh-up-test
compose=tests/deploy/compose.sh
say() { printf '\n=== %s (%ds)\n' "$*" "$SECONDS"; }

cleanup() {
  local code=$?
  if ((code != 0)); then
    say "failed: the last logs of the containers"
    "$compose" ps || true
    "$compose" logs --tail=40 || true
  fi
  "$compose" down >/dev/null 2>&1 || true
  exit "$code"
}
trap cleanup EXIT

say "building the check"
cargo build --locked --workspace --example first_service --bin wsmesh-check
check=${CARGO_TARGET_DIR:-target}/debug/wsmesh-check
admin=http://127.0.0.1:9100

say "starting"
"$compose" up --no-build
"$compose" states
# Which ports they have is Docker's choice.
nodes=(--admin "$admin")
for container in $("$compose" ps -q ws-node); do
  nodes+=(--node "ws://$(docker port "$container" 9000/tcp | head -1)/")
done

say "clients on two ws-nodes, all Redis running"
"$check" "${nodes[@]}" --ws-nodes 2 --game-logics 2

say "the same with one Redis stopped"
"$compose" stop -t 1 redis-1
"$check" "${nodes[@]}" --ws-nodes 2 --game-logics 2 --attempt-for-seconds 20
"$compose" start redis-1

# until_true SECONDS WHAT COMMAND …
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= end)); then echo "not in time: $what" >&2; curl -s "$admin/api/v1/nodes" >&2; return 1; fi
    sleep 0.5
  done
  echo "$what"
}
active() { # ID
  curl -sf "$admin/api/v1/nodes" | node -e '
    const nodes = JSON.parse(require("node:fs").readFileSync(0, "utf8")).nodes;
    process.exit(nodes.some((node) => node.id === process.argv[1] && node.state === "active" && !node.notHeardBy?.length) ? 0 : 1);' "$1"
}
say "a fourth Redis, added through admin"
COMPOSE_PROFILES=traces,spare "$compose" up --no-build redis-3
until_true 60 "redis-1 is back" active redis-1
curl -sf -X POST -H 'Content-Type: application/json' -d '{"url": "redis://redis-3:6379#redis-3"}' "$admin/api/v1/nodes"; echo
until_true 60 "redis-3 is active, and everyone hears it" active redis-3

say "one of the four killed"
docker kill "$("$compose" ps -q redis-0)" >/dev/null
"$check" "${nodes[@]}" --ws-nodes 2 --game-logics 2 --attempt-for-seconds 20 --jaeger http://127.0.0.1:16686

say "stopping gracefully"
started=$SECONDS
services=(ws-node game-logic admin)
"$compose" stop "${services[@]}"
took=$((SECONDS - started))
for container in $("$compose" ps -q "${services[@]}"); do
  code=$(docker inspect -f '{{.State.ExitCode}}' "$container")
  if [ "$code" != 0 ]; then
    echo "$(docker inspect -f '{{.Name}}' "$container") ended with exit code $code instead of 0" >&2
    exit 1
  fi
done
echo "five services stopped with exit code 0 in ${took} s"
say "passed"
