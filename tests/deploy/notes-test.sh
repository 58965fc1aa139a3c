#!/usr/bin/env bash
# Types every command of the chart's notes, as they stand, for each profile and way in. kubectl, helm and curl are stand-ins that say what a
# cluster would; openssl is real, and the token that it signs must verify.
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
*addresses* | *loadBalancer*) printf 192.0.2.1 ;;
esac
END
# shellcheck disable=SC2016 # the stand-in expands it
printf '#!/bin/sh\necho "$*"\n' | tee "$work/bin/helm" >"$work/bin/curl"
chmod +x "$work"/bin/*
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/private.pem" 2>/dev/null
openssl pkey -in "$work/private.pem" -pubout -out "$work/public.pem"

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
verify "$(grep '^eyJ' "$work/said")" && echo "ok - and the token that openssl signs verifies"
types "production, tokens for an audience" eyJ --set "$secrets,wsNode.settings.jwt_audience={app}"
types "a port of every machine" ws://192.0.2.1:30900/ --set "$secrets,wsNode.service.type=NodePort"
types "a load balancer with TLS" wss://192.0.2.1:9000/ --set "$secrets,wsNode.service.type=LoadBalancer,wsNode.tls.existingSecret=edge"
types "a Gateway" secret --set "$secrets,wsNode.httpRoute.enabled=true,wsNode.httpRoute.parentRefs[0].name=public"
types "demo" "-n prod test wsmesh" --set profile=demo,redis.auth.enabled=false,jaeger.enabled=true
