#!/usr/bin/env bash
# Two clients on two ws-nodes talk to each other and to game-logic, through three Redis nodes.
. tests/deploy/cluster/lib.sh
forwards=()
stop_forwards() { kill "${forwards[@]}"; }
at_end stop_forwards
urls=()
for node in $(pods ws-node); do
  # To one pod each, which only port-forward reaches.
  k port-forward "pod/$node" :9000 >"$out/$step.$node" 2>&1 &
  forwards+=($!)
  until_true 10 "$node is forwarded" grep -q '^Forwarding from 127.0.0.1:' "$out/$step.$node"
  urls+=(--node "ws://$(sed -n 's/^Forwarding from \(127.0.0.1:[0-9]*\) .*/\1/p' "$out/$step.$node" | head -1)/")
done
"${CHECK_PROGRAM:?}" "${urls[@]}" --admin "http://$(service_address "$release-admin")" --ws-nodes 2 --game-logics 2
