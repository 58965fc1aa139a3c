#!/usr/bin/env bash
# Renders the alerts of the chart and tests them: promtool checks the rules, runs alerts_test.yaml, and every alert must appear in it.
# Every metric that an alert or the dashboard names must be in the code.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm} promtool=${PROMTOOL:-promtool}
here=tests/deploy
"$here/need.sh" "$promtool" prometheus "what tests the alerts (promtool)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$helm" template wsmesh charts/wsmesh --namespace prod --kube-version 1.34.0 --show-only templates/monitoring/prometheusrule.yaml \
  --set profile=demo,redis.auth.enabled=false,monitoring.prometheusRule.enabled=true \
  --set monitoring.prometheusRule.runbookUrl=https://example.org/RUNBOOK.md |
  sed '1,/^spec:/d; s/^  //' >"$work/rules.yaml"
cp "$here/alerts_test.yaml" "$work/"
"$promtool" check rules "$work/rules.yaml"
"$promtool" test rules "$work/alerts_test.yaml"

sed -n 's/^ *- alert: //p' "$work/rules.yaml" | while read -r alert; do
  grep -q "$alert" "$work/alerts_test.yaml" || { echo "alerts_test.yaml does not test $alert" >&2; exit 1; }
done

# The queries of the dashboard, as rules, so that promtool reads them.
# shellcheck disable=SC2016 # what has a dollar is JavaScript
node -e '
  const { panels } = JSON.parse(require("fs").readFileSync("charts/wsmesh/files/dashboard.json", "utf8"));
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr.replaceAll("$__rate_interval", "5m")));
  const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr }));
  console.log(JSON.stringify({ groups: [{ name: "dashboard", rules }] }));' >"$work/dashboard.yaml"
"$promtool" check rules "$work/dashboard.yaml"

# Histograms have series of their own.
grep -ohE '\bwsmesh_[a-z_]+' "$work/rules.yaml" charts/wsmesh/files/dashboard.json | sed -E 's/_(bucket|sum|count)$//' | sort -u >"$work/used"
grep -rohE '"wsmesh_[a-z_]+"' services --include='*.rs' | tr -d '"' | sort -u >"$work/known"
missing=$(comm -23 "$work/used" "$work/known")
[ -z "$missing" ] || { printf 'no service has these metrics: %s\n' "$missing" >&2; exit 1; }

# The section of the runbook that an alert names must exist.
runbook=charts/wsmesh/RUNBOOK.md
sed -n 's/.*RUNBOOK.md#//p' "$work/rules.yaml" | sort -u >"$work/sections"
[ -s "$work/sections" ] || { echo "no alert names a section of the runbook" >&2; exit 1; }
while read -r section; do
  grep '^#' "$runbook" | tr '[:upper:] ' '[:lower:]-' | sed 's/^#*-//' | grep -qx "$section" ||
    { echo "$runbook has no section #$section, which an alert names" >&2; exit 1; }
done <"$work/sections"
# An alert that the runbook names must exist.
grep -oE '\bWsmesh[A-Za-z]+' "$runbook" | sort -u | while read -r alert; do
  grep -qx " *- alert: $alert" "$work/rules.yaml" || { echo "$runbook names $alert, which is not an alert" >&2; exit 1; }
done
echo "alerts ok"
