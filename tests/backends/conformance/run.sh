#!/usr/bin/env bash
# Checks with the reference libraries what a ws-node sends to a backend: CloudEvents parse with the SDK of the CNCF, signatures
# verify with the library of Standard Webhooks. Needs Python 3.10 or newer, and PyPI the first time. The ws-node is the one in
# WSMESH_PROGRAMS (target/debug).
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=tests/backends/conformance
target=${CARGO_TARGET_DIR:-target}
venv=$target/backends-conformance

# Made again when the libraries change.
if ! cmp --silent "$folder/requirements.txt" "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$folder/requirements.txt"
  cp "$folder/requirements.txt" "$venv/installed.txt"
fi
exec "$venv/bin/python" "$folder/check.py" "${WSMESH_PROGRAMS:-$target/debug}/ws-node"
