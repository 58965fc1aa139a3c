#!/usr/bin/env bash
# What Prometheus reads of a server: promtool checks the text, and a real Prometheus with storage for exemplars scrapes the server and is
# asked for one. WSMESH_PROGRAMS is the folder with the programs (target/debug).
set -euo pipefail
cd "$(dirname "$0")/../.."
export PROMTOOL=${PROMTOOL:-promtool} PROMETHEUS=${PROMETHEUS:-prometheus} PROGRAMS=${WSMESH_PROGRAMS:-target/debug}
unset WSMESH_PROGRAMS # every variable that begins so is a setting
tests/deploy/need.sh "$PROMETHEUS" prometheus "what scrapes the server"
exec node --test --test-reporter=spec tests/deploy/exposition.test.mjs
