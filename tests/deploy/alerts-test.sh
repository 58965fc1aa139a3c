#!/usr/bin/env bash
# Renders the alerts of the chart and tests them: promtool checks the rules, and runs alerts_test.yaml and what alerts.mjs writes.
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
  --set monitoring.prometheusRule.runbookUrl=https://example.org/ALERTS.md |
  sed '1,/^spec:/d; s/^  //' >"$work/rules.yaml"
cp "$here/alerts_test.yaml" "$work/"
"$promtool" check rules "$work/rules.yaml"
"$promtool" test rules "$work/alerts_test.yaml"

# Every alert on series that it must fire on, and on near ones that leave it silent.
node "$here/alerts.mjs" "$work/rules.yaml" >"$work/alerts.test.yaml"
"$promtool" test rules "$work/alerts.test.yaml"

"$promtool" check config --syntax-only deploy/prometheus.yml
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

# The page of an alert must exist and say what it means, where to look and what to do. It leads to a section of the runbook, which names
# the alert.
pages=charts/wsmesh/ALERTS.md runbook=charts/wsmesh/RUNBOOK.md
section() { # FILE ANCHOR: that section. Parts of it (one # more) belong to it.
  awk -v wanted="$2" '
    /^##?#? / { level = index($0, " "); title = tolower($0); sub(/^#+ /, "", title); gsub(/[^a-z0-9 -]/, "", title); gsub(/ /, "-", title)
      if (title == wanted) { inside = level } else if (level <= inside) { inside = 0 } }
    inside' "$1"
}
sed -n 's/^ *- alert: //p; s/.*ALERTS.md#//p' "$work/rules.yaml" | paste - - >"$work/sections"
[ "$(wc -l <"$work/sections")" = "$(grep -c '^ *- alert: ' "$work/rules.yaml")" ] || { echo "an alert has no page" >&2; exit 1; }
while read -r alert anchor; do
  grep -q "^[- ].*\[${alert#Wsmesh}\](#$anchor)" "$pages" || { echo "the list at the top of $pages lacks $alert" >&2; exit 1; }
  section "$pages" "$anchor" >"$work/section"
  # A bar within a cell, even within code, ends the cell.
  if grep '^|' "$work/section" | grep -vE '^[|][^|]*[|][^|]*[|]$'; then echo "a row of the table of $alert in $pages has not two cells" >&2; exit 1; fi
  [ -s "$work/section" ] || { echo "$pages has no section #$anchor, to which $alert leads" >&2; exit 1; }
  for part in 'It means' 'Look' 'Do'; do
    grep -q "^| $part |" "$work/section" || { echo "$pages does not say '$part' for $alert" >&2; exit 1; }
  done
  named=
  while read -r leads; do
    section "$runbook" "${leads#*#}" | grep -qw "$alert" && named=1
  done < <(grep -oE 'RUNBOOK[.]md#[a-z0-9-]+' "$work/section")
  [ -n "$named" ] || { echo "$pages leads from $alert to no section of $runbook that names it" >&2; exit 1; }
done <"$work/sections"
# An alert that a document names must exist, and where it leads must be a dashboard.
grep -ohE '\bWsmesh[A-Za-z]+' "$pages" "$runbook" | sort -u | while read -r alert; do
  grep -qx " *- alert: $alert" "$work/rules.yaml" || { echo "$pages or $runbook names $alert, which is not an alert" >&2; exit 1; }
done
# So must the panels that pages name, in quotation marks.
sed -n 's/^   "title": "\(.*\)",$/\1/p' charts/wsmesh/files/dashboards/*.json | sort -u >"$work/panels"
grep -oE '"[A-Z][^"]*"' "$pages" | tr -d '"' | sort -u | grep -vx ERROR | while read -r panel; do
  grep -qxF "$panel" "$work/panels" || { echo "$pages names the panel \"$panel\", which no dashboard has" >&2; exit 1; }
done
sed -n 's/^ *dashboard: //p' charts/wsmesh/files/alerts.yaml | sort -u | while read -r dashboard; do
  [ -f "charts/wsmesh/files/dashboards/$dashboard.json" ] || { echo "an alert leads to the dashboard $dashboard, which there is not" >&2; exit 1; }
done
[ "$(grep -c '^ *dashboard: ' charts/wsmesh/files/alerts.yaml)" = "$(grep -c '^ *- alert: ' charts/wsmesh/files/alerts.yaml)" ] || { echo "an alert leads to no dashboard" >&2; exit 1; }
echo "alerts ok"
