#!/usr/bin/env bash
# Which changes restart which pods: renders the chart twice and compares the pods' templates. A change that restarts pods which it
# does not concern sends clients away for nothing.
#
#   restarts-test.sh                        HELM=helm
set -euo pipefail
cd "$(dirname "$0")/../.."
helm=${HELM:-helm}
command -v "$helm" >/dev/null || { echo "$helm is missing" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# pods FILE VALUES…: the pods' templates of all components, a file each: FILE-COMPONENT.
pods() {
  local file=$1 component kind
  shift
  for component in redis ws-node game-logic admin; do
    kind=deployment
    [ "$component" != redis ] || kind=statefulset
    "$helm" template wsmesh "$chart" --namespace games --kube-version 1.34.0 --show-only "templates/$component/$kind.yaml" \
      --set redis.auth.existingSecret=a,wsNode.jwt.existingSecret=b,admin.token.existingSecret=c "$@" |
      sed -n '/^  template:/,$p' >"$file-$component"
  done
}

# restarts "COMPONENTS" WHAT VALUES…: what a change of values restarts.
restarts() {
  local want=$1 what=$2 got=() component
  shift 2
  pods "$work/after" "$@"
  for component in redis ws-node game-logic admin; do
    cmp -s "$work/before-$component" "$work/after-$component" || got+=("$component")
  done
  if [ "${got[*]-}" = "$want" ]; then
    passed=$((passed + 1))
    echo "ok - $what restarts ${want:-nothing}"
  else
    failed=$((failed + 1))
    echo "FAILED - $what restarts ${got[*]-nothing} instead of ${want:-nothing}" >&2
  fi
}

chart=charts/wsmesh
pods "$work/before"
for component in redis ws-node game-logic admin; do
  [ -s "$work/before-$component" ] || { echo "no pods of $component were rendered" >&2; exit 1; }
done
restarts "" "nothing"
restarts "" "another number of Redis nodes" --set redis.replicas=7
restarts "" "another number of servers" --set wsNode.replicas=9,gameLogic.replicas=1,admin.replicas=1
restarts "" "a network policy" --set networkPolicy.enabled=true
restarts "" "what Prometheus and Grafana get" \
  --set monitoring.podMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true
restarts "" "monitors of Services" --set 'monitoring.serviceMonitor.enabled=true,monitoring.selector=cluster="a"'
restarts "" "another test of helm" --set tests.url=wss://ws.example.org/,tests.token.existingSecret=a
restarts "" "no test of helm" --set tests.enabled=false
restarts "" "an autoscaler" --set wsNode.autoscaling.enabled=true,gameLogic.autoscaling.enabled=true
restarts "" "another way in" --set wsNode.service.type=NodePort,wsNode.ingress.enabled=true,wsNode.ingress.hosts[0]=ws.example.org
restarts "redis" "another memory of Redis" --set redis.maxmemoryClients=300mb
restarts "redis" "another line of redis.conf" --set redis.config="io-threads 2"
restarts "ws-node game-logic admin" "another log level" --set log.level=debug
restarts "ws-node game-logic admin" "another external Redis node" --set "redis.external[0]=redis://10.0.0.7:6379#outside-7"
restarts "ws-node game-logic admin" "traces" --set otel.endpoint=http://collector:4318
restarts "ws-node game-logic admin" "a token for profiles" --set debug.existingSecret=debug
restarts "admin" "no costs of ending pods" --set admin.podDeletionCost=false
restarts "redis ws-node game-logic admin" "a label of all pods" --set commonLabels.team=games
restarts "ws-node" "a setting of ws-nodes" --set 'wsNode.extraEnv[0].name=WSMESH_MAX_CLIENTS,wsNode.extraEnv[0].value=x'
restarts "ws-node" "the config file of ws-nodes" --set 'wsNode.config=a = 1'
restarts "game-logic" "the config file of game-logic" --set 'gameLogic.config=a = 1'
cp -r charts/wsmesh "$work/next"
sed -i 's/^version: .*/version: 99.0.0/' "$work/next/Chart.yaml"
chart=$work/next
restarts "" "another version of only the chart"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
