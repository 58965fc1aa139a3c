// The Redis nodes and what travels through them, as the servers see it and as admin asks Redis itself.
import { dashboard, quantiles, row, stat, time, to, worse } from "./panels.mjs";

const ofNode = { links: [to("bus", "node")] };
// Every admin that answers has the same facts, so the largest stands for all of them.
const fact = (metric) => [`max by (node) (${metric})`, "{{node}}"];
const pace = (metric) => [`max by (node) (rate(${metric}[rate]))`, "{{node}}"];

export default dashboard(
  "bus",
  "wsmesh: bus",
  "Messages between servers, the Redis nodes that carry them, and what a fault cost. A node is one plain Redis; no one of them is special.",
  [
    row(
      "Traffic",
      time("Published", [["sum by (node, result) (rate(wsmesh_publish_total[rate]))", "{{node}} {{result}}"]], "Messages per second. Normal: spread over the nodes, all ok. error: the node refused or did not answer in time; the message took another one.", { unit: "cps", ...ofNode }),
      time("Received", [["sum by (node) (rate(wsmesh_receive_total[rate]))", "{{node}}"]], "Messages per second, over all servers. Normal: it follows what is published. Falls for one node while it is published to: its subscribers are cut off.", { unit: "cps", ...ofNode }),
      time("Bytes", [["sum(rate(wsmesh_publish_bytes_total[rate]))", "published"], ["sum(rate(wsmesh_receive_bytes_total[rate]))", "received"]], "Normal: in line with the messages. Grows faster: messages became larger; compress_above may help.", { unit: "Bps" }),
    ),
    row(
      "Errors",
      stat("Lapses", "sum(increase(wsmesh_lapses_total[$__range])) or vector(0)", "Spans of time for which the promise did not hold, in the time shown. Normal: 0.", { decimals: 0, steps: worse(1), width: 6 }),
      stat("Unsent", "sum(increase(wsmesh_unsent_total[$__range])) or vector(0)", "Messages that no node took, in the time shown. Normal: 0.", { decimals: 0, steps: worse(1), width: 6 }),
      stat("Unreadable", "sum(increase(wsmesh_malformed_total[$__range]))", "Messages that could not be read, in the time shown. Normal: 0. More: something else publishes to the channels of this cluster, or versions do not fit.", { decimals: 0, steps: worse(1), width: 6 }),
      stat("Left the window early", "sum(increase(wsmesh_replay_evictions_total[$__range]))", "Messages that left the replay window before their time, in the time shown. Normal: 0. More: raise replay_bytes, or lower replay_window.", { decimals: 0, steps: worse(1), width: 6 }),
      time("Lapses and unsent messages", [["sum by (reason) (increase(wsmesh_lapses_total[rate]))", "lapse: {{reason}}"], ["sum by (reason) (increase(wsmesh_unsent_total[rate]))", "unsent: {{reason}}"]], "Normal: none. isolated: a server heard no node. stalled: its process was stopped. too-large: a message above max_publish_bytes. expired, no-room: no node came back in time.", { unit: "short" }),
      time("Not the first choice", [["sum by (reason) (rate(wsmesh_publish_rerouted_total[rate]))", "{{reason}}"], ["sum(wsmesh_messages_waiting)", "waiting for a node"]], "Messages per second that a node refused, or that needed several nodes to reach everyone (cover), and messages that wait because no node is heard. Normal: none.", { unit: "short" }),
      time("Sent again, and dropped as double", [["sum by (result) (rate(wsmesh_replayed_total[rate]))", "sent again: {{result}}"], ["sum(rate(wsmesh_duplicates_dropped_total[rate]))", "double, dropped"], ["sum(rate(wsmesh_old_copies_dropped_total[rate]))", "too old, dropped"], ["sum(wsmesh_copies_waiting)", "copies waiting"]], "What a fault costs, per second. Normal: none, some after a node was lost or a server started. It goes on: a node flaps.", { unit: "cps" }),
    ),
    row(
      "Latency",
      time("Lag by node", quantiles("wsmesh_lag_seconds", ["node"]), "From publishing to receiving. Normal: p99 of some milliseconds. One node is slow: its Redis has no CPU or its machine is busy. All are: a server, or clocks that differ. A dot is one trace.", { unit: "s", traces: "ws-node", limit: 0.5, ...ofNode }),
      time("PUBLISH by node", quantiles("wsmesh_publish_duration_seconds", ["node"]), "Time of one PUBLISH, with its answer. Normal: p99 of a few milliseconds. Slow at one node only: that Redis. Slow at all: this server.", { unit: "s", traces: "ws-node", ...ofNode }),
      time("Fan-out to local clients", quantiles("wsmesh_fanout_duration_seconds"), "Handing one message to the clients of a server. Normal: microseconds to a millisecond. Slow: shards are busy, see Edge.", { unit: "s" }),
      time("Probes", [["max by (node) (wsmesh_node_ping_seconds)", "{{node}}"]], "Last round trip of a probe, by the server with the longest. Normal: milliseconds. A node silent for three intervals is not used.", { unit: "s", ...ofNode }),
      time("Requests between servers", quantiles("wsmesh_request_duration_seconds"), "From a request to its last reply. Normal: what the handler takes. Slow while lag is not: the service that answers.", { unit: "s", traces: "ws-node" }),
      time("Requests by result", [["sum by (direction, result) (rate(wsmesh_requests_total[rate]))", "{{direction}} {{result}}"], ["sum by (result) (rate(wsmesh_repeated_requests_total[rate]))", "repeated {{result}}"], ["sum(rate(wsmesh_idempotency_evictions_total[rate]))", "answers forgotten early"]], "Per second: for each server asked (out) and each request answered (in). Normal: ok. timed-out: nobody answered in time. unhandled: no such handler. overloaded: the service is full.", { unit: "cps" }),
    ),
    row(
      "Nodes, as the servers hear them",
      time("Servers that hear a node", [["sum by (node) (wsmesh_node_up)", "{{node}}"]], "Normal: all servers hear every node. Fewer for one node: its pod, its network, or its password.", ofNode),
      time("Interruptions", [["sum by (node) (increase(wsmesh_node_gaps_total[rate]))", "{{node}} gaps"], ["sum by (node) (increase(wsmesh_node_reconnects_total[rate]))", "{{node}} reconnects"]], "Connections for subscribing that ended, probes that were missing, connections opened again. Normal: none. It goes on for one node: it restarts, has no CPU, or cuts subscribers off.", ofNode),
      time("Topology", [["max by (state) (wsmesh_topology_nodes)", "{{state}}"], ["min(wsmesh_topology_agreed)", "agreed"]], "Nodes by state, and 1 while all servers report the same. Normal: all active, agreed. draining for minutes: admin's jobs say what it waits for."),
      time("Redis pods", [["max(wsmesh_nodes_wanted)", "wanted"], ["max(wsmesh_nodes_not_joined)", "not joined"]], "How many Redis pods there should be, and how many of them are no nodes yet. Normal: none that is not joined, for longer than a start takes."),
      time("Changes of nodes", [["sum by (trigger) (increase(wsmesh_topology_changes_total[rate]))", "{{trigger}}"], ["sum by (kind, result) (increase(wsmesh_jobs_total[rate]))", "job {{kind}} {{result}}"]], "Changes that servers followed, and jobs of admin that ended. Normal: only when nodes are added, removed or lost. failed: GET /api/v1/jobs says why."),
      time("Admin", [["max by (pod) (wsmesh_leader)", "{{pod}} leads"], ["sum by (kind) (wsmesh_jobs_running)", "jobs under way {{kind}}"]], "Which admin acts for all, and changes under way. Normal: one leads. None: it cannot renew its Lease; see its log."),
    ),
    row(
      "Redis itself, as admin asks it",
      time("Answers", [fact("wsmesh_redis_up")], "1 while a Redis answers admin's questions. Normal: 1. 0 while servers hear it: its user may not ask (ACL).", { max: 1, width: 6, ...ofNode }),
      time("Memory", [[...fact("wsmesh_redis_memory_bytes").slice(0, 1), "{{node}} used"], [...fact("wsmesh_redis_memory_limit_bytes").slice(0, 1), "{{node}} limit"]], "Normal: some megabytes, as nothing is stored. Near the limit: queues of subscribers, or somebody else stores something.", { unit: "bytes", width: 6, ...ofNode }),
      time("Queues of subscribers", [fact("wsmesh_redis_subscriber_buffer_bytes")], "Bytes that wait in Redis for our subscribers. Normal: near 0. Grows: a server does not keep up; at the limit Redis cuts it off.", { unit: "bytes", width: 6, ...ofNode }),
      time("Commands", [pace("wsmesh_redis_commands_total")], "Per second. Normal: even over the nodes, and as many as messages are published. More: somebody else uses this Redis.", { unit: "cps", width: 6, ...ofNode }),
      time("Bytes in and out", [["max by (node, direction) (rate(wsmesh_redis_bytes_total[rate]))", "{{node}} {{direction}}"]], "Normal: out is in, times the servers that each message is for. Near what the network carries: add a node.", { unit: "Bps", width: 6, ...ofNode }),
      time("Connections", [fact("wsmesh_redis_clients")], "Normal: two for each server, and some of admin. Grows: somebody else, or servers that connect again and again.", { width: 6, ...ofNode }),
      time("Refused, evicted, slow", [["max by (node) (rate(wsmesh_redis_rejected_connections_total[rate]))", "{{node}} connections refused"], ["max by (node) (rate(wsmesh_redis_evicted_keys_total[rate]))", "{{node}} keys evicted"], ["max by (node) (rate(wsmesh_redis_slow_commands_total[rate]))", "{{node}} slow commands"]], "Per second. Normal: none. Refused: maxclients is reached. Evicted: somebody stores keys here. Slow: no CPU, or a command of somebody else.", { unit: "cps", width: 6, ...ofNode }),
      time("Up time", [fact("wsmesh_redis_uptime_seconds")], "Normal: it rises. Back to 0: it restarted; see why (OOMKilled?).", { unit: "s", width: 6, ...ofNode }),
    ),
  ],
  { byNode: true },
);
