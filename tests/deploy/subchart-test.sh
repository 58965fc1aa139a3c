#!/usr/bin/env bash
# Renders the chart as a part of a parent chart: once under its name and twice under aliases, with values of the parent for all charts.
#
#   subchart-test.sh                        HELM=helm
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm}
command -v "$helm" >/dev/null || { echo "$helm is missing" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^version: //p' charts/wsmesh/Chart.yaml)
mkdir -p "$work/shop/charts" "$work/shop/templates"
cp -r charts/wsmesh "$work/shop/charts/wsmesh"
cat >"$work/shop/Chart.yaml" <<END
apiVersion: v2
name: shop
version: 1.0.0
dependencies:
  - {name: wsmesh, version: $version, condition: wsmesh.enabled}
  - {name: wsmesh, version: $version, alias: chat, condition: chat.enabled}
  - {name: wsmesh, version: $version, alias: games, condition: games.enabled}
END
passed=0
ok() { passed=$((passed + 1)); echo "ok $passed - $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
render() {
  local name secrets=
  for name in wsmesh chat games; do
    secrets+=",$name.redis.auth.existingSecret=a,$name.wsNode.jwt.existingSecret=b,$name.admin.token.existingSecret=c"
  done
  "$helm" template market "$work/shop" --namespace prod --kube-version 1.34.0 --set "${secrets#,}" "$@" >"$work/all.yaml"
}
names() { awk '/^kind: /{kind=$2} /^metadata:/{meta=1} meta && /^  name: /{print kind, $2; meta=0}' "$work/all.yaml" | sort; }

render --set wsmesh.enabled=true,chat.enabled=false,games.enabled=false
names | grep -qx "StatefulSet market-wsmesh-redis" || fail "the names are not those of the release and the chart"
ok "the chart is a part of a parent"

render --set wsmesh.enabled=false,chat.enabled=true,games.enabled=true --set global.imageRegistry=registry.example.com,global.storageClass=x
names | grep -qx "StatefulSet market-chat-redis" || fail "an alias is not in the names"
twice=$(names | uniq -d)
[ -z "$twice" ] || fail "two of them have the same resources: $twice"
ok "two of them in one release have names of their own"
[ "$(grep -c 'value: "prod/market-chat:"' "$work/all.yaml")" -ge 3 ] || fail "the prefix of one is not its own"
[ "$(grep -c 'value: "prod/market-games:"' "$work/all.yaml")" -ge 3 ] || fail "the prefix of the other is not its own"
ok "and prefixes of their own, so they do not meet"
if grep -E '^ +image: ' "$work/all.yaml" | grep -qv 'registry.example.com/'; then fail "an image is not from the parent's registry"; fi
ok "and images from the parent's registry"
echo "$passed passed, 0 failed"
