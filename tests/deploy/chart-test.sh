#!/usr/bin/env bash
# Checks the chart, what it renders, and the files for CI and compose, without a cluster. All checks run even if one fails. `make tools`
# brings the tools; one that is missing is a failure. Prints a line per check, and its output if it failed.
#
#   chart-test.sh [NAME OF A CHECK …]       HELM=helm WSMESH_PROGRAMS=target/debug
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
here=tests/deploy
export HELM=${HELM:-helm}
helm=$HELM
pypi=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools/kubernetes-validate
oldest=$(sed -n 's/^kubeVersion: ">=\([0-9.]*\)\.0-0"$/\1/p' charts/wsmesh/Chart.yaml)
newest=1.37
only=" $* "
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0

# check "NAME: SENTENCE" COMMAND …: counts one, or what the command counts itself ("N passed, N failed", or helm-unittest's "Tests:").
check() {
  local name=${1%%:*} p f
  if [ "$only" != "  " ] && [[ $only != *" $name "* ]]; then return; fi
  local started=$SECONDS told=$1
  shift
  "$@" >"$output" 2>&1
  local code=$?
  p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p; s/^Tests:.* \([0-9]*\) passed, .*/\1/p' "$output" | tail -1)
  f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p; s/^Tests: *\([0-9]*\) failed, .*/\1/p' "$output" | tail -1)
  if [ "$code" = 0 ]; then
    passed=$((passed + ${p:-1}))
    echo "test $told ... ok ($((SECONDS - started)) s)"
  else
    passed=$((passed + ${p:-0})) failed=$((failed + (${f:-1} > 0 ? ${f:-1} : 1)))
    cat "$output"
    echo "test $told ... FAILED"
  fi
}

# Releases in the files of values/ are rendered as a production and a demo namespace would be: no cluster is asked.
render() { # VALUES VERSION [OPTION OF helm …]
  "$helm" template wsmesh charts/wsmesh --namespace prod --kube-version "$2.0" --values "$1" "${@:3}"
}
lint() { "$helm" lint --strict --quiet charts/wsmesh --kube-version "$oldest.0" --values "$1"; }
valid() { render "$1" "$2" | PYTHONPATH=$pypi python3 "$here/chart-validate.py" "$2"; }
# A check that finds nothing may be broken: it has to find these.
finds_mistakes() {
  local mistake
  for mistake in 's/^  replicas: /  replicaz: /' 's/containerPort: 9000/containerPort: "nine"/' 's/^kind: PodDisruptionBudget/kind: Budget/' \
    's/^    parentRefs:/    parents:/; s/^  parentRefs:/  parents:/'; do
    if render "$here/values/gateway.yaml" "$oldest" | sed "$mistake" | PYTHONPATH=$pypi python3 "$here/chart-validate.py" "$oldest" 2>/dev/null; then
      echo "not found: $mistake"
      return 1
    fi
  done
}
# Network policies are off by default, as not every cluster enforces them; scored is the chart with them.
score() { # VALUES
  local flags=(--ignore-container-cpu-limit --exit-one-on-warning --kubernetes-version "v$oldest") test
  while read -r test; do flags+=(--ignore-test "$test"); done < <(sed -n 's/^\([a-z][a-z-]*\) .*/\1/p' "$here/kube-score.txt")
  render "$1" "$oldest" --set networkPolicy.enabled=true,networkPolicy.egress.enabled=true |
    kube-score score "${flags[@]}" --output-format ci - | grep -vE '^\[(OK|SKIPPED)\]'
  local codes=("${PIPESTATUS[@]}")
  [ "${codes[0]}${codes[1]}" = 00 ]
}
composed() {
  local compose
  if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
  "${compose[@]}" config --quiet && COMPOSE_PROFILES=traces,metrics,load "${compose[@]}" config --quiet
}

files=("$here"/values/*.yaml charts/wsmesh/values-*.yaml)
for file in "${files[@]}"; do check "lint: $file" lint "$file"; done
check "units: the chart's own tests (charts/wsmesh/tests)" helm-unittest --strict charts/wsmesh
for file in "${files[@]}"; do
  for version in "$oldest" "$newest"; do check "schemas: $file for Kubernetes $version" valid "$file" "$version"; done
done
check "schemas: wrong kinds, keys and types are found" finds_mistakes
# Not values-dev.yaml: ports of the machine are what it is for.
for file in "$here"/values/*.yaml charts/wsmesh/values-ha.yaml; do check "score: $file (exceptions: kube-score.txt)" score "$file"; done
check "alerts: promtool tests every alert" "$here/alerts-test.sh"
check "exposition: what a real Prometheus reads of a server" "$here/exposition-test.sh"
check "config: the servers read what the chart writes" "$here/config-test.sh"
check "keeper: the script of Redis pods, with a real Redis" "$here/keeper-test.sh"
check "restarts: a change restarts only the pods that it concerns" "$here/restarts-test.sh"
check "subchart: as a part of another chart" "$here/subchart-test.sh"
check "table: the README's table of values is current" node "$here/values-table.mjs" --check
check "dashboards: they are what their sources make, and say what is normal" node deploy/grafana/dashboards/build.mjs --check
check "settings: the schema has the settings of the servers" node "$here/settings-schema.mjs" --check
check "manifests: k8s/ is what the chart renders" "$here/manifests.sh" --check k8s
check "workflows: actionlint" actionlint -no-color
if command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1; then
  check "compose: docker-compose.yml, with and without profiles" composed
fi

# As `cargo test` says it: totals.awk counts this line.
echo "test result: $([ "$failed" = 0 ] && echo ok || echo FAILED). $passed passed; $failed failed; 0 ignored"
[ "$failed" = 0 ]
