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

# Traces are an extra: where Jaeger's image cannot be had, the rest starts without it.
without_missing_jaeger() {
  local image=${JAEGER_IMAGE:-jaegertracing/jaeger:2.13.0} profiles
  profiles=${COMPOSE_PROFILES-$(sed -n 's/^COMPOSE_PROFILES=//p' .env)}
  case ,$profiles, in *,traces,*) ;; *) return ;; esac
  if docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null 2>&1; then return; fi
  echo "no traces: the image $image is not here and cannot be pulled (another one: JAEGER_IMAGE)" >&2
  profiles=,$profiles, profiles=${profiles/,traces,/,} profiles=${profiles#,}
  export COMPOSE_PROFILES=${profiles%,}
}

case ${1:-} in
  up) shift; without_missing_jaeger; "${compose[@]}" up -d "$@"; wait_healthy ;;
  wait) wait_healthy ;;
  states) states ;;
  # v2 leaves what belongs to a profile that is off.
  down) COMPOSE_PROFILES=traces,metrics,load,spare "${compose[@]}" down --remove-orphans ;;
  *) exec "${compose[@]}" "$@" ;;
esac
