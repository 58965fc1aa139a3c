#!/usr/bin/env bash
# Starts docker-compose.yml under its own project name. Two clients on two ws-nodes talk to each other and to game-logic through
# its three Redis, then again with one Redis stopped; then every service must stop gracefully and in time. It uses the images of
# `make images`. Ports 9000, 9001, 9100, 16686 and 4318 must be free.
set -euo pipefail
cd "$(dirname "$0")/../.."
export COMPOSE_PROJECT_NAME=wsmesh-up-test
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
cargo build --locked -p e2e --bin wsmesh-check
check=${CARGO_TARGET_DIR:-target}/debug/wsmesh-check
nodes=(--node ws://127.0.0.1:9000/ --node ws://127.0.0.1:9001/ --admin http://127.0.0.1:9100)

say "starting"
"$compose" up --no-build
"$compose" states

say "clients on two ws-nodes, all Redis running"
"$check" "${nodes[@]}" --ws-nodes 2 --game-logics 2 --jaeger http://127.0.0.1:16686

say "the same with one Redis stopped"
"$compose" stop -t 1 redis-1
"$check" "${nodes[@]}" --ws-nodes 2 --game-logics 2 --attempt-for-seconds 20
"$compose" start redis-1

say "stopping gracefully"
started=$SECONDS
services=(ws-node-0 ws-node-1 game-logic-0 game-logic-1 admin)
"$compose" stop "${services[@]}"
took=$((SECONDS - started))
for service in "${services[@]}"; do
  code=$(docker inspect -f '{{.State.ExitCode}}' "$("$compose" ps -q "$service")")
  if [ "$code" != 0 ]; then
    echo "$service ended with exit code $code instead of 0" >&2
    exit 1
  fi
done
echo "five services stopped with exit code 0 in ${took} s"
say "passed"
