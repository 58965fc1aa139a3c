#!/usr/bin/env bash
# Lets the real servers read the configuration files that the chart renders from values: every key and type that the chart allows must be
# one that they know. WSMESH_PROGRAMS is the folder with ws-node and game-logic (target/debug).
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm} programs=${WSMESH_PROGRAMS:-target/debug}
unset WSMESH_PROGRAMS     # every variable that begins so is a setting
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# config COMPONENT: the file in the ConfigMap of a component, with the mounted Secrets where this machine has them.
config() {
  "$helm" template wsmesh charts/wsmesh --namespace prod --kube-version 1.34.0 --values tests/deploy/config-values.yaml \
    --show-only "templates/$1/configmap.yaml" | sed '1,/config.toml: |/d; s/^    //' | sed "s#/etc/wsmesh/backends#$work#" >"$work/$1.toml"
}

mkdir "$work/auction"
echo whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw >"$work/auction/signing-key"
openssl rand -hex 24 | tee "$work/auction/token" >"$work/jwt-key"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=ca -keyout "$work/ca.key" -out "$work/auction/ca.crt" 2>/dev/null

config ws-node
"$programs/ws-node" --config "$work/ws-node.toml" --jwt-key-file "$work/jwt-key" --print-config >"$work/shown"
for line in 'max_connections = 20000' 'replay_bytes = 134217728' 'event = "bid.*"' 'name = "chat"' 'policy = "may-drop"' 'service = "audit"'; do
  grep -qF "$line" "$work/shown" || { echo "ws-node does not have $line:" >&2; cat "$work/shown" >&2; exit 1; }
done
config game-logic
"$programs/game-logic" --config "$work/game-logic.toml" --print-config >"$work/shown"
grep -q 'max_matches = 500' "$work/shown"
echo "config ok"
