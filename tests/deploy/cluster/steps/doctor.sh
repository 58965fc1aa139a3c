#!/usr/bin/env bash
# `admin doctor` in admin's pod finds nothing wrong with a release as the chart installs it. Takes one rule after the other out of admin's
# Role: it names each right that is missing, and what it says to type gives it back.
. tests/deploy/cluster/lib.sh
doctor() { k exec "deployment/$release-admin" -- /usr/local/bin/admin doctor --json >"$out/$step.found"; }
of_kubernetes() { jq -r '.parts[] | select(.part == "kubernetes") | .findings[] | "\(.what)\n\(.fix)"' "$out/$step.found"; }
until_true 30 "three nodes are heard" redis_is 3
doctor || fail "something is wrong: $(jq -c '[.parts[].findings[] | {about, what}]' "$out/$step.found")"
# A machine that is busy measures too much through a node for once.
jq -e '[.parts[].findings[] | select(.severity != "note" and (.what | startswith("it is slow") | not))] == []' "$out/$step.found" >/dev/null || fail "the doctor finds: $(jq -c '[.parts[].findings[] | {about, what}]' "$out/$step.found")"
say "nothing is wrong: $(jq -r '.parts[] | select(.part == "kubernetes") | .lookedAt' "$out/$step.found")"

k get role "$release-admin" -o json | jq 'del(.metadata.resourceVersion, .metadata.uid, .metadata.managedFields)' >"$out/$step.role"
added() { k get role,rolebinding -o name | grep "/wsmesh-admin-" || true; }
restore() {
  k apply -f "$out/$step.role"
  added | while read -r one; do k delete "$one"; done
}
at_end restore
rules=$(jq '.rules | length' "$out/$step.role")
expect "rules" "$rules" '>=' 6
k patch role "$release-admin" --type merge -p '{"rules": []}'
knows() { doctor; of_kubernetes | grep -q "$1"; }
until_true 20 "the doctor sees what changed" knows 'it may not'
of_kubernetes | tee "$out/$step.missing"
for right in 'list and watch endpointslices' "get statefulsets $release-redis" "get and patch statefulsets/scale $release-redis" \
  'create leases' "get and update leases $release-admin" 'get and patch pods\|patch pods' 'create and patch events'; do
  grep -q "it may not \\($right\\)" "$out/$step.missing" || fail "the doctor does not say that admin may not $right"
done
say "typing what it says"
sed -n '/^kubectl .* create role/p' "$out/$step.missing" >"$out/$step.typed"
bash -ex "$out/$step.typed"
mended() { doctor && ! of_kubernetes | grep 'it may not'; }
until_true 20 "what it says to type gives the rights back" mended
