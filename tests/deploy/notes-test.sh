#!/usr/bin/env bash
# Types every command of the chart's notes, as they stand, for each profile and way in. kubectl, helm and curl are stand-ins that say what a
# cluster would. So is what the README types for a token that openssl signs, which must verify.
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=$(command -v "${HELM:-helm}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The notes are a template that nothing renders without a cluster: a copy of the chart shows them in a ConfigMap.
cp -r charts/wsmesh "$work/chart"
printf 'data:\n  notes: |\n    {{- include "wsmesh/templates/NOTES.txt" . | nindent 4 }}\n' >"$work/chart/templates/shown.yaml"
mkdir "$work/bin"
cat >"$work/bin/kubectl" <<'END'
#!/bin/sh
case "$*" in
*" token --id 888") echo a.b.c ;;
*"{.data.token}"*) printf c2VjcmV0 ;;
*nodePort*) printf 30900 ;;
*hostIP* | *loadBalancer*) printf 192.0.2.1 ;;
esac
END
# shellcheck disable=SC2016 # the stand-in expands it
printf '#!/bin/sh\necho "$*"\n' | tee "$work/bin/helm" >"$work/bin/curl"
chmod +x "$work"/bin/*

# A token's signature, checked with the public key.
verify() {
  local padded
  padded=$(printf %s "${1##*.}" | tr '_-' '/+')
  while [ $((${#padded} % 4)) -ne 0 ]; do padded+="="; done
  printf %s "$padded" | base64 -d >"$work/signature"
  printf %s "${1%.*}" | openssl dgst -sha256 -verify "$work/public.pem" -signature "$work/signature" >/dev/null
}

# types NAME EXPECTED VALUES…: the commands of these notes run, and print EXPECTED among other things.
types() {
  local name=$1 expected=$2
  shift 2
  "$helm" template wsmesh "$work/chart" --namespace prod --kube-version 1.34.0 --show-only templates/shown.yaml "$@" |
    sed '1,/^  notes: |/d; s/^    //' >"$work/notes"
  sed -n 's/^  \([^ ]\)/\1/p' "$work/notes" >"$work/commands"
  [ -s "$work/commands" ] || { echo "not ok - $name: there are no commands" >&2; exit 1; }
  (cd "$work" && PATH="$work/bin:$PATH" bash -euo pipefail commands) >"$work/said"
  grep -qF -- "$expected" "$work/said" || { echo "not ok - $name: nothing prints $expected" >&2; cat "$work/commands" "$work/said" >&2; exit 1; }
  echo "ok - $name"
}

secrets=redis.auth.existingSecret=redis,admin.token.existingSecret=admin,wsNode.jwt.existingSecret=jwt
types "production" a.b.c --set "$secrets"
types "a port of every machine" ws://192.0.2.1:30900/ --set "$secrets,wsNode.service.type=NodePort"
types "a load balancer with TLS" wss://192.0.2.1:9000/ --set "$secrets,wsNode.service.type=LoadBalancer,wsNode.tls.existingSecret=edge"
types "a Gateway" secret --set "$secrets,wsNode.httpRoute.enabled=true,wsNode.httpRoute.parentRefs[0].name=public"
types "certificates of cert-manager" secret --set "$secrets,admin.tls.certManager.issuerRef.name=a,wsNode.tls.certManager.issuerRef.name=a"
types "demo" "-n prod test wsmesh" --set profile=demo,redis.auth.enabled=false,jaeger.enabled=true

# The README's keys and token, where NOTES send those who have public keys.
# shellcheck disable=SC2016 # the marks of a block
sed -n '/^## Tokens/,/^## /p' charts/wsmesh/README.md | sed -n '/^```sh/,/^```/p' | sed '/^```/d' >"$work/commands"
(cd "$work" && PATH="$work/bin:$PATH" bash -euo pipefail commands) >"$work/said" 2>"$work/trouble" ||
  { echo "not ok - a token that openssl signs: its commands fail" >&2; cat "$work/trouble" >&2; exit 1; }
verify "$(grep '^eyJ' "$work/said")"
echo "ok - a token that openssl signs as the README says verifies"
