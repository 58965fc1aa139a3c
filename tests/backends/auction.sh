#!/usr/bin/env bash
# Starts the auction in one language until Ctrl-C: auction.sh LANGUAGE
#
# In python, node and go it is a backend: it waits for the bids that `make run ARGS="--ws-node-config tests/backends/auction.toml"` in
# another terminal sends it. In rust it is a service on the mesh, which is joined by Redis, and `make run` has none: a Redis
# and two ws-nodes on the ports of `make run` are started with it.
set -euo pipefail
cd "$(dirname "$0")"
programs=${WSMESH_PROGRAMS:-../../target/debug}
unset WSMESH_PROGRAMS     # ws-node reads every such variable as a setting

case ${1:-} in
  python) exec python3 python/auction.py ;;
  node) exec node node/auction.mjs ;;
  go) exec go run go/auction.go ;;
  rust) ;;
  *) echo "name one of python, node, go, rust: make auction LANGUAGE=python" >&2; exit 64 ;;
esac

# Not one of this terminal's processes: Ctrl-C must not end it before the servers.
redis-server --port 7000 --save "" --appendonly no --daemonize yes >/dev/null
nodes=()
stop() {
  kill "${nodes[@]}" 2>/dev/null || true
  wait
  redis-cli -p 7000 shutdown nosave
}
trap stop EXIT
for i in 0 1; do
  "$programs/ws-node" --profile demo --name "ws-$i" --listen "127.0.0.1:900$i" --ops-listen "127.0.0.1:909$i" \
    --redis redis://127.0.0.1:7000 --config rust/auction.toml --log-level warn &
  nodes+=($!)
done
"$programs/auction-service"
