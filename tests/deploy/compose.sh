#!/usr/bin/env bash
# Starts docker-compose.yml and waits until everything is healthy, or stops it; with docker-compose 1.29 and with v2.
#
#   compose.sh up | down | ARGS FOR COMPOSE…
set -euo pipefail
cd "$(dirname "$0")/../.."
export DOCKER_BUILDKIT=1
command -v docker >/dev/null || { echo "docker is missing: see https://docs.docker.com/engine/install/ (Debian: apt-get install docker.io docker-compose)" >&2; exit 1; }
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  echo "docker-compose is missing (Debian: apt-get install docker-compose)" >&2; exit 1
fi

# One line per container: its name and its health (its state, if it has no health check).
states() {
  local ids; ids=$("${compose[@]}" ps -q)
  [ -z "$ids" ] || xargs docker inspect -f '{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' <<<"$ids"
}

wait_healthy() {
  local end=$((SECONDS + ${WAIT_SECONDS:-90})) bad
  while bad=$(states | grep -vE ' (healthy|running)$'); do
    if ((SECONDS >= end)); then
      echo "not healthy in time:" >&2; echo "$bad" >&2
      "${compose[@]}" logs --tail=20 >&2
      return 1
    fi
    sleep 0.5
  done
}

case ${1:-} in
  up) shift; "${compose[@]}" up -d "$@"; wait_healthy ;;
  wait) wait_healthy ;;
  states) states ;;
  down) "${compose[@]}" down --remove-orphans ;;
  *) exec "${compose[@]}" "$@" ;;
esac
