#!/usr/bin/env bash
# Events through a rule with a URL, and through the mesh to a service, at the same rate, one after the other: latency, and CPU
# per event of each process. Then other events before and while a backend hangs: they must not be slower, and memory must not
# grow. Its arguments are options of `wsmesh-load request`, for example --rate 2000 (the default).
# PROFILE=debug for a rough figure; release otherwise. Needs redis-server; everything listens on free ports and ends with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
profile=${PROFILE:-release}
flags=()
if [ "$profile" = release ]; then flags=(--release); fi
cargo build --locked --quiet "${flags[@]}" -p ws-node -p game-logic
cargo build --locked --quiet "${flags[@]}" -p wsmesh-load --bins --examples
programs=$(realpath "${CARGO_TARGET_DIR:-target}/$profile")
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

# The address that a process writes, when it is there.
address() { # FILE PATTERN
  for _ in $(seq 300); do
    if grep --only-matching --perl-regexp --max-count=1 "$2" "$1"; then return; fi
    sleep 0.1
  done
  echo "nothing was started: see $1" >&2
  cat "$1" >&2
  return 1
}

"$programs/examples/backend" 127.0.0.1:0 >"$folder/backend" 2>&1 &
backend=$!
url=http://$(address "$folder/backend" '^127\S+')/

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --bind 127.0.0.1 --port "$port" --save "" >"$folder/redis" 2>&1 &
redis=$!
address "$folder/redis" 'Ready to accept' >/dev/null

cat >"$folder/ws-node.toml" <<TOML
[[rules]]
event = "http"
url = "$url"
[[rules]]
event = "hangs"
url = "${url}hang"
timeout_ms = 2000
TOML
common=(--profile=demo --redis="redis://127.0.0.1:$port" --ops-listen=127.0.0.1:0 --log-format=json)
"$programs/game-logic" "${common[@]}" --name=game-logic >"$folder/game-logic" 2>&1 &
service=$!
"$programs/ws-node" "${common[@]}" --name=edge --listen=127.0.0.1:0 --config="$folder/ws-node.toml" >"$folder/ws-node" 2>&1 &
node=$!
listen=$(address "$folder/ws-node" '"listen":"\K[^"]+')
# An option may be given once only.
if [[ " $* " != *" --rate"* ]]; then set -- --rate 2000 "$@"; fi
request=("$programs/wsmesh-load" request --url "ws://$listen/")
load=("${request[@]}" --connections 200 --pid "ws-node=$node" "$@")
# Both services must know each other before the first request.
ops=$(address "$folder/ws-node" '"ops_listen":"\K[^"]+')
curl --silent --fail --retry 50 --retry-connrefused --retry-all-errors --retry-delay 1 "http://$ops/readyz" >/dev/null
known=''
for _ in $(seq 30); do
  if "${request[@]}" --event gamePing --payload '{}' --rate 1 --connections 1 --warmup 0 --seconds 1 >"$folder/known" 2>&1; then
    known=yes
    break
  fi
  sleep 0.5
done
if [ -z "$known" ]; then
  echo "no reply to gamePing came through the mesh:" >&2
  cat "$folder/known" >&2
  exit 1
fi

results() { # what came of the events for backends
  curl --silent "http://$ops/metrics" | grep -E '^wsmesh_backend_(requests_total|retries_total|in_flight|breaker_open)' || true
}

echo "== HTTP: ws-node → backend"
"${load[@]}" --event http --pid "backend=$backend"
results
echo "== mesh: ws-node → Redis → game-logic"
"${load[@]}" --event gamePing --payload '{}' --pid "redis=$redis" --pid "game-logic=$service"
echo "== other events (echo), all well"
"${load[@]}" --event echo
echo "== other events (echo), while the events of another rule hang"
"${request[@]}" --connections 200 --rate 1000 --seconds 14 --event hangs >"$folder/hangs" 2>&1 &
hanging=$!
"${load[@]}" --event echo
wait "$hanging" || true
results
