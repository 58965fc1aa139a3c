#!/usr/bin/env bash
# Runs test suites, which are tasks of the Makefile, all of them even if one fails. At the end it prints a line for each, the
# names of failed tests, and "N passed, N failed, N skipped" on the last line, which CI reads. Exit code 1 if anything failed.
#
#   suites.sh TASK …
set -uo pipefail
totals=$(cd "$(dirname "$0")" && pwd)/totals.awk
output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0 failed=0 skipped=0 summary='' names=''
for suite in "$@"; do
  printf '\n=== %s\n' "$suite"
  make "$suite" 2>&1 | tee "$output"
  code=${PIPESTATUS[0]}
  counted=$("$totals" "$output")
  read -r p f s <<<"$counted"
  found=$(tail -n +2 <<<"$counted")
  if [ "$code" != 0 ] && [ "$f" = 0 ]; then
    # It did not build, or ended before it reported what failed.
    f=1 found="(exit code $code without a failed test: see its output above)"
  fi
  verdict=$([ "$f" = 0 ] && echo ok || echo FAILED)
  summary+=$(printf '  %-13s %-6s  %d passed, %d failed, %d skipped' "$suite" "$verdict" "$p" "$f" "$s")$'\n'
  while read -r name; do
    if [ -n "$name" ]; then names+="  $suite: $name"$'\n'; fi
  done <<<"$found"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done

printf '\n=== summary\n%s' "$summary"
if [ -n "$names" ]; then printf '\nfailed:\n%s' "$names"; fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
