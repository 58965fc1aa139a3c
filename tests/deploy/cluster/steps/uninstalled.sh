#!/usr/bin/env bash
# `helm uninstall` leaves only what NOTES name, and the command of NOTES removes that.
. tests/deploy/cluster/lib.sh
helm -n "$namespace" get notes "$release" >"$out/$step.notes"
helm -n "$namespace" uninstall "$release" --wait --timeout 2m
kinds=$(kubectl api-resources --namespaced --verbs=list -o name | grep -vE '^(events|events.events.k8s.io|endpoints)$' | paste -sd,)
left() {
  # What every namespace has is not ours. Pods need a moment to end.
  local all
  all=$(k get "$kinds" -o name --ignore-not-found) || fail "kubectl cannot list what is left"
  printf '%s' "$all" |
    grep -vE '^(configmap/kube-root-ca.crt|serviceaccount/default|pod.metrics.k8s.io/.*|.*wsmesh-two.*)$' || true
}
only_the_lease() { ! left | grep -v "^lease.coordination.k8s.io/$release-admin$"; }
until_true 90 "nothing is left but what NOTES name" only_the_lease
command=$(sed -n 's/^  \(kubectl .* delete lease .*\)$/\1/p' "$out/$step.notes")
[ -n "$command" ] || fail "NOTES do not say how to remove the Lease"
bash -c "$command"
[ -z "$(left)" ] || fail "still there: $(left | tr '\n' ' ')"
