#!/usr/bin/env bash
# A ws-node that traces under load while its collector is fine, dead, silent, refusing or endless, one after the other: its memory at the
# start, in the middle and at the end, the latency of its clients, what became of the spans, and how often it logged that.
#
#   tests/load/collectors.sh [--rate 5000] [--seconds 600] [--kinds "fine dead silent refusing endless"] [--sampled 1]
#
# Fails if the memory grew from the start to the end by more than a tenth and 4 MB, or if it logged more than three lines about traces.
# The start is after a quarter of the time: by then the queue is full. --sampled 0 has only failed and slow requests traced.
# PROFILE=debug for a rough figure; release otherwise. PROGRAMS=FOLDER uses the programs there and builds none. Everything listens on free ports and ends with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
rate=5000 seconds=600 kinds="fine dead silent refusing endless" sampled=1
while [ $# -gt 0 ]; do
  case $1 in
    --rate) rate=$2 ;;
    --seconds) seconds=$2 ;;
    --kinds) kinds=$2 ;;
    --sampled) sampled=$2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
  esac
  shift 2
done
profile=${PROFILE:-release}
programs=${PROGRAMS:-}
if [ -z "$programs" ]; then
  flags=()
  if [ "$profile" = release ]; then flags=(--release); fi
  cargo build --locked --quiet "${flags[@]}" -p ws-node -p wsmesh-load --bin ws-node --bin wsmesh-load
  programs=$(realpath "${CARGO_TARGET_DIR:-target}/$profile")
fi
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

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

resident() { # PID
  awk '/^VmRSS:/ {printf "%.1f", $2 / 1024}' "/proc/$1/status"
}

spans() { # OPS-ADDRESS RESULT
  curl --silent "http://$1/metrics" | awk -v name="wsmesh_trace_spans_total{result=\"$2\"}" '$1 == name {print $2}'
}

failed=''
measure() { # KIND
  local kind=$1 collector=127.0.0.1:1 node load listen ops start middle end lines
  if [ "$kind" != dead ]; then
    python3 -u tests/load/collector.py "$kind" >"$folder/collector-$kind" 2>&1 &
    pids+=($!)
    collector=$(address "$folder/collector-$kind" '^127\S+')
  fi
  OTEL_EXPORTER_OTLP_ENDPOINT=http://$collector OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=$sampled \
    "$programs/ws-node" --profile=demo --name=edge --listen=127.0.0.1:0 --ops-listen=127.0.0.1:0 --log-format=json \
    >"$folder/ws-node-$kind" 2>&1 &
  node=$!
  pids+=("$node")
  listen=$(address "$folder/ws-node-$kind" '"listen":"\K[^"]+')
  ops=$(address "$folder/ws-node-$kind" '"ops_listen":"\K[^"]+')
  "$programs/wsmesh-load" request --url "ws://$listen/" --event echo --connections 100 --rate "$rate" --warmup 0 --seconds "$seconds" \
    --json "$folder/load-$kind" >"$folder/report-$kind" 2>&1 &
  load=$!
  pids+=("$load")
  sleep "$((seconds / 4))"
  start=$(resident "$node")
  sleep "$((seconds / 4))"
  middle=$(resident "$node")
  wait "$load" || failed="$failed $kind:load"
  end=$(resident "$node")
  # The start says once where traces go.
  lines=$(grep --invert-match 'telemetry is sent' "$folder/ws-node-$kind" | grep --count --extended-regexp 'traces|spans end' || true)
  printf '%-9s %8s %8s %8s %10s %10s %10s %6s   %s\n' "$kind" "$start" "$middle" "$end" \
    "$(spans "$ops" exported)" "$(spans "$ops" dropped)" "$(spans "$ops" refused)" "$lines" \
    "$(grep --max-count=1 --extended-regexp 'p50|p99' "$folder/report-$kind" | tr --squeeze-repeats ' ' || true)"
  if ! awk -v a="$start" -v b="$end" 'BEGIN {exit !(b <= a * 1.1 + 4)}'; then failed="$failed $kind:memory"; fi
  if [ "$lines" -gt 3 ]; then failed="$failed $kind:log"; fi
  kill -TERM "$node"
  wait "$node" || failed="$failed $kind:end"
}

echo "$rate requests/s for $seconds s each, $sampled of the traces sampled; memory of ws-node in MB"
printf '%-9s %8s %8s %8s %10s %10s %10s %6s   %s\n' collector start middle end exported dropped refused lines latency
for kind in $kinds; do measure "$kind"; done
if [ -n "$failed" ]; then
  echo "FAILED:$failed" >&2
  exit 1
fi
