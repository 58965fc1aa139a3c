#!/usr/bin/env bash
# What admin's service account may do in the API is what it needs, and the other pods have no token at all.
. tests/deploy/cluster/lib.sh
account=system:serviceaccount:$namespace:$release-admin
k auth can-i --list --as "$account" | tee "$out/$step.rights"
# Everyone may ask what they may do, and read the API's own descriptions.
awk 'NR > 1 && $1 !~ /^selfsubject/ && $1 !~ /^\[/ {print $1}' "$out/$step.rights" | sort -u >"$out/$step.resources"
allowed='endpointslices.discovery.k8s.io events.events.k8s.io leases.coordination.k8s.io pods statefulsets.apps statefulsets.apps/scale'
while read -r resource; do
  case " $allowed " in *" $resource "*) ;; *) fail "admin may do something with $resource" ;; esac
done <"$out/$step.resources"
may() { k auth can-i "$@" --as "$account" >/dev/null; }
may patch "statefulset/$release-redis" --subresource=scale || fail "admin may not scale its StatefulSet"
may get "lease/$release-admin" || fail "admin may not read its Lease"
for denied in "get secrets" "delete pods" "create pods" "patch deployments" "patch statefulset/other --subresource=scale" \
  "patch statefulset/$release-redis" "update lease/other" "patch lease/$release-admin" "list pods" "list configmaps" \
  "get secret/$release-redis"; do
  read -ra words <<<"$denied"
  if may "${words[@]}"; then fail "admin may $denied"; fi
done
k get pods -o json | jq -r '.items[] | select(.metadata.labels["app.kubernetes.io/component"] != "admin")
  | select([.spec.containers[].volumeMounts[]?.mountPath] | any(startswith("/var/run/secrets/kubernetes.io"))) | .metadata.name' >"$out/$step.tokens"
[ ! -s "$out/$step.tokens" ] || fail "pods with a token of the API: $(tr '\n' ' ' <"$out/$step.tokens")"
