#!/usr/bin/env bash
# What NOTES say to type works when it is typed: every line that is indented by two spaces, in its order. What runs in a terminal of
# its own (port-forward) stays open until the end. What is for later (uninstall) is typed later.
. tests/deploy/cluster/lib.sh
helm -n "$namespace" get notes "$release" | tee "$out/$step.notes"
{
  echo 'set -euo pipefail'
  # shellcheck disable=SC2016 # for the script that is written
  printf '%s\n' 'forwards=()' 'trap "kill \${forwards[*]} 2>/dev/null || true" EXIT'
  sed -n 's/^  \([a-zA-Z_].*\)$/\1/p' "$out/$step.notes" | while IFS= read -r line; do
    case $line in
      *port-forward*)
        port=${line##* }
        printf '%s & forwards+=($!)\n' "$line"
        # shellcheck disable=SC2016 # for the script that is written
        printf 'for _ in $(seq 50); do (: </dev/tcp/127.0.0.1/%s) 2>/dev/null && break; sleep 0.2; done\n' "${port%%:*}"
        ;;
      *"wait --for=delete"* | *"delete lease"* | *"delete secret"*) ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
} >"$out/$step.typed"
cat "$out/$step.typed"
grep -qE 'kubectl|helm' "$out/$step.typed" || fail "NOTES name no command"
bash -x "$out/$step.typed"
