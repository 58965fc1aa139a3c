#!/usr/bin/env bash
# Starts the auction in one language until Ctrl-C: auction.sh LANGUAGE
#
# In python, node and go it is a backend: it waits for the bids that `make run ARGS="--ws-node-config tests/backends/auction.toml"` in
# another terminal sends it. In rust it is a service on the mesh, which is joined by Redis, and `make run` has none: a Redis
# and two ws-nodes on the ports of `make run` are started with it.
set -euo pipefail
cd "$(dirname "$0")"
programs=${WSMESH_PROGRAMS:-../../target/debug}

case ${1:-} in
  python) exec python3 python/auction.py ;;
  node) exec node node/auction.mjs ;;
  go) exec go run go/auction.go ;;
  rust) ;;
  *) echo "name one of python, node, go, rust: make auction LANGUAGE=python" >&2; exit 64 ;;
esac

redis-server --port 7000 --save "" --appendonly no >/dev/null &
common=(--profile demo --redis redis://127.0.0.1:7000 --config rust/auction.toml --log-level warn)
"$programs/ws-node" --name ws-0 --listen 127.0.0.1:9000 --ops-listen 127.0.0.1:9090 "${common[@]}" &
"$programs/ws-node" --name ws-1 --listen 127.0.0.1:9001 --ops-listen 127.0.0.1:9091 "${common[@]}" &
# Ctrl-C reaches all of them; a signal to this script alone is passed on.
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
"$programs/auction-service"
