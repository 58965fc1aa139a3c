#!/usr/bin/env bash
# Runs test suites, which are tasks of the Makefile, all of them even if one fails. At the end it prints a line for each, the
# names of failed tests, and "N passed, N failed, N skipped" on the last line, which CI reads. Exit code 1 if anything failed.
#
#   suites.sh TASK … [+ TASK …]      lanes separated by + run beside each other: most tests wait rather than compute
#
# The first lane's output is seen while it runs, that of the others as a whole, when the first is done.
set -uo pipefail
totals=$(cd "$(dirname "$0")" && pwd)/totals.awk
folder=$(mktemp -d)
lanes=()
end() { # EXIT CODE: ends what still runs
  trap - EXIT INT TERM
  for lane in "${lanes[@]}"; do kill -- "-$lane" 2>/dev/null; done
  rm -rf "$folder"
  exit "$1"
}
trap 'end $?' EXIT
trap 'end 130' INT
trap 'end 143' TERM

run() { # TASK: its output and exit code are kept
  make "$1" >"$folder/$1.log" 2>&1
  echo $? >"$folder/$1.code"
  echo "$1: done, after $SECONDS s"
}

suites=() beside=()
lane=0
for word in "$@"; do
  if [ "$word" = + ]; then
    lane=$((lane + 1))
  else
    suites+=("$word")
    if [ "$lane" = 0 ]; then first+=("$word"); else beside[lane]+=" $word"; fi
  fi
done

# Each lane is a process group of its own, so that what it started ends with it.
set -m
for list in "${beside[@]}"; do
  echo "beside:$list"
  (for suite in $list; do run "$suite"; done) &
  lanes+=($!)
done
set +m
for suite in "${first[@]}"; do
  printf '\n=== %s\n' "$suite"
  make "$suite" 2>&1 | tee "$folder/$suite.log"
  echo "${PIPESTATUS[0]}" >"$folder/$suite.code"
done
wait
lanes=()
for list in "${beside[@]}"; do
  for suite in $list; do printf '\n=== %s\n' "$suite"; cat "$folder/$suite.log"; done
done

passed=0 failed=0 skipped=0 summary='' names=''
for suite in "${suites[@]}"; do
  code=$(cat "$folder/$suite.code")
  counted=$("$totals" "$folder/$suite.log")
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
