#!/usr/bin/env bash
# Runs the programs of tests that cargo builds, some at once: most tests wait rather than compute. cargo starts each as always,
# with its folder and environment, but through a runner that leaves it running. What it writes is printed when it has ended.
#
#   rust-tests.sh [ARGUMENT OF `cargo test` …]       TESTS_AT_ONCE=1 runs one after another (default 3)
set -uo pipefail
runner=$(cd "$(dirname "$0")" && pwd)/rust-test-runner.sh
at_once=${TESTS_AT_ONCE:-3}
folder=$(mktemp -d)
mkfifo "$folder/places" "$folder/ended"
touch "$folder/failed" "$folder/running"
# A byte in `places` is a free place. Both ends are open here, so reading waits instead of meeting an end of file.
exec 8<>"$folder/ended" 9<>"$folder/places"
places() { printf "%${1}s" '' >&9; }

# One process prints, so outputs do not mix.
print_what_ended() {
  while IFS= read -r log <&8; do
    [ "$log" = all ] && return
    cat "$log"
    rm -f "$log"
    places 1
  done
}
end() { # EXIT CODE: ends what still runs
  trap - EXIT INT TERM
  kill "$printer" 2>/dev/null
  while read -r group; do kill -- "-$group" 2>/dev/null; done <"$folder/running"
  rm -rf "$folder"
  exit "$1"
}
print_what_ended &
printer=$!
trap 'end $?' EXIT
trap 'end 130' INT
trap 'end 143' TERM

places "$at_once"
RUST_TESTS_FOLDER=$folder cargo test --workspace --locked --no-fail-fast --lib --bins --tests \
  --config "target.'cfg(all())'.runner = '$runner'" "$@"
code=$?
# When all places are free again, every program has ended and was printed.
for _ in $(seq "$at_once"); do IFS= read -r -n 1 -u 9; done
: >"$folder/running"
echo all >&8
wait "$printer"

cargo test --workspace --locked --no-fail-fast --doc "$@" || code=$?
if [ -s "$folder/failed" ]; then
  printf '\nfailed programs of tests:\n' >&2
  sed 's/^/  /' "$folder/failed" >&2
  code=1
fi
[ "$code" = 0 ]
