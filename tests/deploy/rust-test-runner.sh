#!/usr/bin/env bash
# cargo's runner in rust-tests.sh: waits for a free place, leaves one program of tests running, and lets cargo continue with the next.
#
#   rust-test-runner.sh PROGRAM [ARGUMENT …]
set -uo pipefail
folder=$RUST_TESTS_FOLDER
unset RUST_TESTS_FOLDER
IFS= read -r -n 1 -u 9
# A process group of its own: rust-tests.sh ends it when it is ended itself.
set -m
log=$(mktemp "$folder/XXXXXX.log")
(
  SECONDS=0
  "$@" >"$log" 2>&1 8>&- 9>&-
  code=$?
  [ "$code" = 0 ] || echo "${1##*/} (exit code $code)" >>"$folder/failed"
  printf '\n--- %s, %d s\n' "${1##*/}" "$SECONDS" | cat - "$log" >"$log.done"
  echo "$log.done" >&8
) </dev/null &
echo $! >>"$folder/running"
