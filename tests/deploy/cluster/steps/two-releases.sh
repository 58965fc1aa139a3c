#!/usr/bin/env bash
# A second release in the same namespace, on Redis nodes of its own and then on those of the first: the two do not meet.
. tests/deploy/cluster/lib.sh
first=$release
release=wsmesh-two
at_end helm -n "$namespace" uninstall wsmesh-two --wait --timeout 2m
servers() { release=$1 admin GET /api/v1/cluster | jq -r '.services[].servers[].name' | sort; }
install --set redis.replicas=1,wsNode.replicas=1,gameLogic.replicas=1,admin.replicas=1
both() {
  local one two
  one=$(servers "$first") two=$(servers wsmesh-two)
  [ "$(grep -c . <<<"$two")" = 3 ] && ! grep -q wsmesh-two <<<"$one"
}
until_true 60 "each release has its own servers" both
say "the second one also uses a Redis of the first"
password=$(k get secret "$first-redis" -o 'jsonpath={.data.password}' | base64 -d)
nodes='[{"name": "WSMESH_REDIS", "value": "redis://:'$password@$first-redis-0.$first-redis':6379#shared"}]'
install --set redis.replicas=1,wsNode.replicas=1,gameLogic.replicas=1,admin.replicas=1 \
  --set-json "wsNode.extraEnv=$nodes" --set-json "gameLogic.extraEnv=$nodes" --set-json "admin.extraEnv=$nodes"
until_true 60 "and yet they do not meet" both
release=$first
nodes_are 3
