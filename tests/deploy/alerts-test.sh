#!/usr/bin/env bash
# Renders the alerts of the chart and tests them: promtool checks the rules, runs alerts_test.yaml, and every alert must appear in it.
# Every metric that an alert or a dashboard names must be in the code.
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

# The queries of the dashboards, as rules, so that promtool reads them; those of their annotations, too.
# shellcheck disable=SC2016 # what has a dollar is JavaScript
node -e '
  const { readFileSync, readdirSync } = require("fs");
  const folder = "charts/wsmesh/files/dashboards/";
  const all = readdirSync(folder).map((file) => JSON.parse(readFileSync(folder + file, "utf8")));
  const targets = all.flatMap(({ panels, annotations }) => [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list.flatMap(({ target = [] }) => target)]);
  const queries = targets.map(({ expr }) => expr.replaceAll(/\$__(rate_interval|range)/g, "5m"));
  const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr }));
  console.log(JSON.stringify({ groups: [{ name: "dashboards", rules }] }));' >"$work/dashboards.yaml"
"$promtool" check rules "$work/dashboards.yaml"

# Histograms have series of their own. What is not built yet is listed, and only that.
to_come=$here/metrics-to-come.txt
grep -ohE '\bwsmesh_[a-z_]+' "$work/rules.yaml" charts/wsmesh/files/dashboards/*.json | sed -E 's/_(bucket|sum|count)$//' | sort -u >"$work/used"
grep -rohE '"wsmesh_[a-z_]+"' services --include='*.rs' | tr -d '"' | sort -u >"$work/known"
sed '/^#/d' "$to_come" | sort -u >"$work/to-come"
missing=$(comm -23 "$work/used" "$work/known" | comm -23 - "$work/to-come")
[ -z "$missing" ] || { printf 'no service has these metrics: %s\n' "$missing" >&2; exit 1; }
arrived=$(comm -12 "$work/known" "$work/to-come")
[ -z "$arrived" ] || { printf '%s lists metrics that are there: %s\n' "$to_come" "$arrived" >&2; exit 1; }

# The section of the runbook that an alert leads to must exist and name the alert. Its parts (###) belong to it.
runbook=charts/wsmesh/RUNBOOK.md
section() {
  awk -v wanted="$1" '
    /^##? / { title = tolower($0); sub(/^#+ /, "", title); gsub(/[^a-z0-9 -]/, "", title); gsub(/ /, "-", title); inside = title == wanted }
    inside' "$runbook"
}
sed -n 's/^ *- alert: //p; s/.*RUNBOOK.md#//p' "$work/rules.yaml" | paste - - >"$work/sections"
[ "$(wc -l <"$work/sections")" = "$(grep -c '^ *- alert: ' "$work/rules.yaml")" ] || { echo "an alert has no section of the runbook" >&2; exit 1; }
while read -r alert section; do
  section "$section" >"$work/section"
  [ -s "$work/section" ] || { echo "$runbook has no section #$section, to which $alert leads" >&2; exit 1; }
  grep -qw "$alert" "$work/section" || { echo "$alert leads to the section #$section of $runbook, which does not name it" >&2; exit 1; }
done <"$work/sections"
# An alert that the runbook names must exist.
grep -oE '\bWsmesh[A-Za-z]+' "$runbook" | sort -u | while read -r alert; do
  grep -qx " *- alert: $alert" "$work/rules.yaml" || { echo "$runbook names $alert, which is not an alert" >&2; exit 1; }
done
echo "alerts ok"
