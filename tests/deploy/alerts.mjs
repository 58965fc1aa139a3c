// Every alert of the chart (charts/wsmesh/files/alerts.yaml) on series that it must fire on after its time, and on series that are near and
// leave it silent. Writes them as tests for promtool; an alert without both kinds of case, or a case without its alert, is an error. Where
// one fires, no other alert may, except those in `also`. Texts of alerts and longer stories are in alerts_test.yaml.
//
//   alerts.mjs RULES.yaml >alerts.test.yaml          alerts-test.sh runs it
import { readFileSync } from "node:fs";

// Series are written without the labels of the release: they get namespace="prod" and release="wsmesh". A value is as promtool has it:
// "0+5x30" is 0, 5, 10 and so on for 30 minutes more, "_x10" is no sample for ten minutes.
const up = (node, values) => [`wsmesh_node_up{pod="ws-0",node="redis-${node}"}`, values];
const series = (...pairs) => Object.fromEntries(pairs);
const lapses = 'wsmesh_lapses_total{pod="ws-0",reason="isolated"}';
const unsent = 'wsmesh_unsent_total{pod="ws-0",reason="too-large"}';
const accepted = 'wsmesh_connections_accepted_total{pod="ws-0"}';
const closed = (code) => `wsmesh_connections_closed_total{pod="ws-0",code="${code}",initiator="server"}`;
const lag = (le) => `wsmesh_lag_seconds_bucket{pod="ws-0",node="redis-0",le="${le}"}`;
const refused = (code) => `wsmesh_client_requests_refused_total{pod="ws-0",code="${code}"}`;
const asked = 'wsmesh_frames_total{pod="ws-0",direction="in",kind="request"}';
const published = (result) => `wsmesh_publish_total{pod="ws-0",node="redis-1",result="${result}"}`;
const answered = (result) => `wsmesh_requests_total{pod="ws-0",direction="out",result="${result}"}`;
const hook = (result) => `wsmesh_connect_hook_total{pod="ws-0",result="${result}"}`;
const fetched = (result) => `wsmesh_jwks_fetches_total{pod="ws-0",result="${result}"}`;
const jobs = (result) => `wsmesh_jobs_total{pod="admin-0",kind="scale",result="${result}"}`;
const spans = (result) => `wsmesh_trace_spans_total{pod="ws-0",result="${result}"}`;
const lines = (level) => `wsmesh_log_lines_total{pod="ws-0",level="${level}"}`;
const told = (reason) => `wsmesh_lifecycle_events_dropped_total{pod="ws-0",watch="1",reason="${reason}"}`;
const busy = 'wsmesh_runtime_busy_seconds_total{pod="ws-0",runtime="shards"}';
const threads = 'wsmesh_runtime_threads{pod="ws-0",runtime="shards"}';
const ofRedis = (name) => `wsmesh_redis_${name}{pod="admin-0",node="redis-1"}`;

// by alert: [when, series, labels of what fires, also] for what fires, and [when, series] for what is near.
const CASES = {
  WsmeshLapse: {
    fires: [["17m", { [lapses]: "_x15 1x30" }, { pod: "ws-0", reason: "isolated" }], ["22m", { [lapses]: "3x20 4x20" }, { pod: "ws-0" }]],
    silent: [["45m", { [lapses]: "3x60" }], ["40m", { [lapses]: "_x15 1x30" }]],
  },
  WsmeshMessagesUnsent: {
    fires: [["14m", { [unsent]: "_x12 5x10" }, { pod: "ws-0", reason: "too-large" }], ["14m", { [unsent]: "0x12 7x10" }, { pod: "ws-0" }]],
    silent: [["45m", { [unsent]: "5x60" }]],
  },
  WsmeshReplayWindowTooSmall: {
    fires: [["12m", { 'wsmesh_replay_evictions_total{pod="ws-0"}': "0+1x20" }, { pod: "ws-0" }]],
    silent: [["45m", { 'wsmesh_replay_evictions_total{pod="ws-0"}': "9x60" }]],
  },
  WsmeshNoRedisHeard: {
    fires: [["24m", series(up(0, "1x19 0x20"), up(1, "1x19 0x20")), { pod: "ws-0" }, ["WsmeshRedisNodeDown"]]],
    silent: [["24m", series(up(0, "1x40"), up(1, "1x19 0x20"))]],
  },
  WsmeshRedisNodeDown: {
    fires: [["20m", series(up(0, "1x40"), up(1, "1x40"), up(2, "1x5 0x35")), { node: "redis-2" }]],
    silent: [["9m", series(up(0, "1x40"), up(1, "1x40"), up(2, "1x5 0x35"))], ["20m", series(up(0, "1x40"), up(1, "1x40"), up(2, "1x40"))]],
  },
  WsmeshOneRedisLeft: {
    fires: [["14m", series(up(0, "1x40"), up(1, "1x4 0x36")), { pod: "ws-0" }, ["WsmeshRedisNodeDown"]]],
    silent: [["14m", series(up(0, "1x40"))], ["14m", series(up(0, "1x40"), up(1, "1x40"), up(2, "1x4 0x36"))]],
  },
  WsmeshRedisNodeFlaps: {
    fires: [["20m", { 'wsmesh_node_gaps_total{pod="ws-0",node="redis-1"}': "0+1x30" }, { node: "redis-1" }]],
    silent: [["20m", { 'wsmesh_node_gaps_total{pod="ws-0",node="redis-1"}': "0x14 3x30" }]],
  },
  WsmeshTopologyDisagrees: {
    fires: [["14m", { 'wsmesh_topology_agreed{pod="ws-0"}': "1x30", 'wsmesh_topology_agreed{pod="ws-1"}': "1x5 0x30" }, {}]],
    silent: [["9m", { 'wsmesh_topology_agreed{pod="ws-0"}': "1x30", 'wsmesh_topology_agreed{pod="ws-1"}': "1x5 0x30" }]],
  },
  WsmeshPublishErrors: {
    fires: [["12m", { [published("ok")]: "0+600x30", [published("error")]: "0+60x30" }, { node: "redis-1" }]],
    silent: [["12m", { [published("ok")]: "0+60000x30", [published("error")]: "0+60x30" }], ["12m", { [published("ok")]: "0+6x30", [published("error")]: "0+6x30" }]],
  },
  WsmeshRequestTimeouts: {
    fires: [["12m", { [answered("ok")]: "0+600x30", [answered("timed-out")]: "0+60x30" }, {}]],
    silent: [["12m", { [answered("ok")]: "0+6000x30", [answered("timed-out")]: "0+60x30", [answered("unhandled")]: "0+6000x30" }]],
  },
  WsmeshRedisMemoryNearLimit: {
    fires: [["12m", { [ofRedis("memory_bytes")]: "95x30", [ofRedis("memory_limit_bytes")]: "100x30" }, { node: "redis-1" }]],
    silent: [["12m", { [ofRedis("memory_bytes")]: "80x30", [ofRedis("memory_limit_bytes")]: "100x30" }], ["12m", { [ofRedis("memory_bytes")]: "95x30", [ofRedis("memory_limit_bytes")]: "0x30" }]],
  },
  WsmeshRedisRefusesConnections: {
    fires: [["12m", { [ofRedis("rejected_connections_total")]: "0x8 3x20" }, { node: "redis-1" }]],
    silent: [["30m", { [ofRedis("rejected_connections_total")]: "3x60" }]],
  },
  WsmeshSubscriberFallsBehind: {
    fires: [["12m", { [ofRedis("subscriber_buffer_bytes")]: "20000000x30" }, { node: "redis-1" }]],
    silent: [["12m", { [ofRedis("subscriber_buffer_bytes")]: "0x9 20000000x1 0x20" }], ["12m", { [ofRedis("subscriber_buffer_bytes")]: "9000000x30" }]],
  },
  WsmeshLagHigh: {
    fires: [["15m", { [lag("0.4096")]: "0+90x30", [lag("0.8192")]: "0+100x30", [lag("+Inf")]: "0+100x30" }, {}]],
    silent: [["15m", { [lag("0.4096")]: "0+100x30", [lag("0.8192")]: "0+100x30", [lag("+Inf")]: "0+100x30" }]],
  },
  WsmeshNothingScraped: {
    fires: [["20m", { 'wsmesh_connections{pod="ws-0"}': "5x10 stale" }, { namespace: "prod", release: "wsmesh" }]],
    silent: [["20m", { 'wsmesh_connections{pod="ws-0"}': "0x60" }]],
  },
  WsmeshEdgeDown: {
    fires: [
      ["12m", { 'wsmesh_draining{pod="ws-0"}': "0x5 1x40", 'wsmesh_draining{pod="ws-1"}': "1x45" }, {}],
      ["12m", series(['wsmesh_draining{pod="ws-0"}', "0x45"], up(0, "1x5 0x40")), { namespace: "prod" }, ["WsmeshNoRedisHeard", "WsmeshRedisNodeDown"]],
    ],
    silent: [
      ["12m", series(['wsmesh_draining{pod="ws-0"}', "0x45"], ['wsmesh_draining{pod="ws-1"}', "1x45"], up(0, "1x45"), up(1, "0x45"))],
      ["12m", { 'wsmesh_draining{pod="ws-0"}': "0x45", 'wsmesh_node_up{pod="admin-0",node="redis-0"}': "0x45" }],
    ],
  },
  WsmeshServerDown: {
    fires: [["12m", { 'up{pod="logic-0",component="game-logic",job="a"}': "1x3 0x40" }, { component: "game-logic", pod: "logic-0" }]],
    silent: [["12m", { 'up{pod="logic-0",component="game-logic",job="a"}': "1x8 0x40", 'up{pod="other-0",component="grafana",job="b"}': "0x40" }]],
  },
  WsmeshConnectionsNearLimit: {
    fires: [["12m", { 'wsmesh_connections{pod="ws-0"}': "46000x30", 'wsmesh_connections{pod="ws-1"}': "40000x30" }, { pod: "ws-0" }]],
    silent: [["12m", { 'wsmesh_connections{pod="ws-0"}': "44000x30", 'wsmesh_connections{pod="ws-1"}': "40000x30" }]],
  },
  WsmeshConnectionsUneven: {
    fires: [["40m", { 'wsmesh_connections{pod="ws-0"}': "900x60", 'wsmesh_connections{pod="ws-1"}': "100x60" }, {}]],
    silent: [
      ["40m", { 'wsmesh_connections{pod="ws-0"}': "600x60", 'wsmesh_connections{pod="ws-1"}': "400x60" }],
      ["40m", { 'wsmesh_connections{pod="ws-0"}': "90x60", 'wsmesh_connections{pod="ws-1"}': "10x60" }],
      ["20m", { 'wsmesh_connections{pod="ws-0"}': "900x60", 'wsmesh_connections{pod="ws-1"}': "100x60" }],
    ],
  },
  WsmeshReconnectStorm: {
    fires: [["22m", { 'wsmesh_connections{pod="ws-0"}': "5000x60", [accepted]: "5000x20 9000x40" }, {}]],
    silent: [
      // A few, a cluster that grows, and a drain.
      ["22m", { 'wsmesh_connections{pod="ws-0"}': "5000x60", [accepted]: "5000x20 6000x40" }],
      ["22m", { 'wsmesh_connections{pod="ws-0"}': "100x20 5000x40", [accepted]: "5000x20 9900x40" }],
      ["22m", { 'wsmesh_connections{pod="ws-0"}': "5000x60", [accepted]: "5000x20 9000x40", [closed(1012)]: "0x20 4000x40" }],
    ],
  },
  WsmeshConnectionsRejected: {
    fires: [["12m", { 'wsmesh_connections_rejected_total{pod="ws-0",reason="full"}': "0+120x20" }, { reason: "full" }]],
    silent: [["12m", { 'wsmesh_connections_rejected_total{pod="ws-0",reason="unauthorized"}': "0+6000x20" }], ["12m", { 'wsmesh_connections_rejected_total{pod="ws-0",reason="full"}': "0+30x20" }]],
  },
  WsmeshFilesNearlyUsedUp: {
    fires: [["12m", { 'process_open_fds{pod="ws-0"}': "950x30", 'process_max_fds{pod="ws-0"}': "1000x30" }, { pod: "ws-0" }]],
    silent: [["12m", { 'process_open_fds{pod="ws-0"}': "850x30", 'process_max_fds{pod="ws-0"}': "1000x30" }]],
  },
  WsmeshSlowClients: {
    fires: [["12m", { 'wsmesh_connections{pod="ws-0"}': "1000x30", 'wsmesh_slow_clients_closed_total{pod="ws-0"}': "0+5x30" }, {}]],
    silent: [["12m", { 'wsmesh_connections{pod="ws-0"}': "10000x30", 'wsmesh_slow_clients_closed_total{pod="ws-0"}': "0+5x30" }]],
  },
  WsmeshOutboxesNearlyFull: {
    fires: [["12m", { 'wsmesh_outbox_bytes{pod="ws-0"}': "209715200x30" }, { pod: "ws-0" }]],
    silent: [["12m", { 'wsmesh_outbox_bytes{pod="ws-0"}': "0x5 262144000x2 0x25" }], ["12m", { 'wsmesh_outbox_bytes{pod="ws-0"}': "200000000x30" }]],
  },
  WsmeshStuckDrain: {
    fires: [["20m", { 'wsmesh_draining{pod="ws-0"}': "1x30", 'wsmesh_draining{pod="ws-1"}': "0x30" }, { pod: "ws-0" }]],
    silent: [["20m", { 'wsmesh_draining{pod="ws-0"}': "1x12 0x30", 'wsmesh_draining{pod="ws-1"}': "0x30" }]],
  },
  WsmeshRequestsFail: {
    fires: [["15m", { [refused("UNAVAILABLE")]: "0+60x30", [asked]: "0+600x30" }, { code: "UNAVAILABLE" }]],
    silent: [["15m", { [refused("UNAVAILABLE")]: "0+6x30", [refused("other")]: "0+600x30", [asked]: "0+600x30" }]],
  },
  WsmeshBackendDown: {
    fires: [["12m", { 'wsmesh_backend_breaker_open{pod="ws-0",backend="bid.*"}': "1x30" }, { backend: "bid.*" }]],
    silent: [["12m", { 'wsmesh_backend_breaker_open{pod="ws-0",backend="bid.*"}': "0x10 1x1 0x20" }]],
  },
  WsmeshConnectHookFails: {
    fires: [["12m", { [hook("allowed")]: "0+60x30", [hook("timed_out")]: "0+30x30" }, {}]],
    silent: [["12m", { [hook("allowed")]: "0+60x30", [hook("refused")]: "0+60x30", [hook("timed_out")]: "0+1x30" }]],
  },
  WsmeshKeysNotFetched: {
    fires: [["35m", { [fetched("failed")]: "0+1x40" }, { pod: "ws-0" }]],
    silent: [["35m", { [fetched("failed")]: "0+1x40", [fetched("ok")]: "0+1x40" }], ["35m", { [fetched("failed")]: "0x20 1x30" }]],
  },
  WsmeshLifecycleEventsDropped: {
    fires: [["12m", { [told("too_old")]: "0+1x40" }, { watch: "1", reason: "too_old" }]],
    silent: [["12m", { [told("ended")]: "0+1x40", [told("full")]: "4x40" }]],
  },
  WsmeshListenerFull: {
    fires: [["12m", { 'wsmesh_events_refused_total{pod="logic-0"}': "0+1x20" }, { pod: "logic-0" }]],
    silent: [["12m", { 'wsmesh_events_refused_total{pod="logic-0"}': "7x20" }]],
  },
  WsmeshTokenFilesWrong: {
    fires: [["12m", { 'wsmesh_token_files_wrong{pod="admin-0"}': "1x20" }, { pod: "admin-0" }]],
    silent: [["12m", { 'wsmesh_token_files_wrong{pod="admin-0"}': "0x9 1x11" }]],
  },
  WsmeshNoLeader: {
    fires: [["12m", { 'wsmesh_leader{pod="admin-0"}': "1x5 0x30", 'wsmesh_leader{pod="admin-1"}': "0x35" }, {}]],
    silent: [["12m", { 'wsmesh_leader{pod="admin-0"}': "1x5 0x30", 'wsmesh_leader{pod="admin-1"}': "0x7 1x30" }]],
  },
  WsmeshJobFailed: {
    fires: [["17m", { [jobs("failed")]: "_x15 1x30" }, { kind: "scale" }], ["17m", { [jobs("failed")]: "1x15 2x30" }, { kind: "scale" }]],
    silent: [["40m", { [jobs("failed")]: "2x60", [jobs("done")]: "0+1x60" }]],
  },
  WsmeshRedisPodNotJoined: {
    fires: [["12m", { 'wsmesh_nodes_not_joined{pod="admin-0"}': "0x2 1x30" }, {}]],
    silent: [["12m", { 'wsmesh_nodes_not_joined{pod="admin-0"}': "0x2 1x3 0x30" }]],
  },
  WsmeshRuntimeBusy: {
    fires: [["20m", { [busy]: "0+114x30", [threads]: "2x30" }, { pod: "ws-0", runtime: "shards" }]],
    silent: [["20m", { [busy]: "0+90x30", [threads]: "2x30" }]],
  },
  WsmeshLogErrors: {
    fires: [["17m", { [lines("error")]: "_x15 1x30" }, { pod: "ws-0" }], ["17m", { [lines("error")]: "0x15 2x30" }, { pod: "ws-0" }]],
    silent: [["40m", { [lines("error")]: "3x60", [lines("warn")]: "0+5x60" }]],
  },
  WsmeshTracesRefused: {
    fires: [["35m", { [spans("exported")]: "0+600x60", [spans("refused")]: "0+60x60" }, {}]],
    silent: [["35m", { [spans("exported")]: "0+6000x60", [spans("refused")]: "0+60x60" }], ["20m", { [spans("exported")]: "0+600x60", [spans("refused")]: "0x12 0+60x3 180x60" }]],
  },
};

const RULES = readFileSync(process.argv[2], "utf8");
const OF_RELEASE = 'namespace="prod",release="wsmesh",';
const metricOf = (name) => name.slice(0, name.indexOf("{"));
const metricsOf = (all) => new Set(Object.keys(all).map(metricOf));

/** What promtool gets: one ws-node is always scraped, unless a case is about that. */
function inputs(all) {
  const scraped = metricsOf(all).has("wsmesh_connections") ? {} : { 'wsmesh_connections{pod="ws-0"}': "100x120" };
  return Object.entries({ ...scraped, ...all }).map(([name, values]) => ({ series: name.replace("{", `{${OF_RELEASE}`), values }));
}

/** How many evaluations, one a minute, an alert waits before it fires. */
function waits(alert) {
  const rule = RULES.slice(RULES.indexOf(`- alert: ${alert}\n`)).split("- alert: ")[1];
  return Number(/^ *for: (\d+)m$/m.exec(rule)?.[1] ?? 0);
}

function firing(alert, [at, all, labels, also = []]) {
  const pending = { expr: `max(count_over_time(ALERTS{alertname="${alert}",alertstate="pending"}[3h]))`, eval_time: at, exp_samples: [{ labels: "{}", value: waits(alert) }] };
  const shown = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return {
    name: `${alert} fires after its time, and nothing else does`,
    interval: "1m",
    input_series: inputs(all),
    promql_expr_test: [
      { expr: `count by (${Object.keys(labels).join(", ")}) (ALERTS{alertname="${alert}",alertstate="firing"})`, eval_time: at, exp_samples: [{ labels: `{${shown.join(",")}}`, value: 1 }] },
      { expr: `count by (alertname) (ALERTS{alertstate="firing",alertname!~"${[alert, ...also].join("|")}"})`, eval_time: at },
      ...(waits(alert) ? [pending] : []),
    ],
  };
}

const quiet = (alert, [at, all]) => ({
  name: `${alert} is silent`,
  interval: "1m",
  input_series: inputs(all),
  promql_expr_test: [{ expr: `ALERTS{alertname="${alert}",alertstate="firing"}`, eval_time: at }],
});

/** What is wrong with the cases themselves. A series that the alert does not look at would leave it silent for the wrong reason. */
function complaints(alerts) {
  const missing = alerts.filter((alert) => !CASES[alert]?.fires.length || !CASES[alert].silent.length);
  const unknown = Object.keys(CASES).filter((alert) => !alerts.includes(alert));
  const far = Object.entries(CASES).flatMap(([alert, { fires, silent }]) => {
    const needed = fires.map(([, all]) => metricsOf(all));
    return silent.filter(([, all]) => !needed.some((metrics) => [...metrics].every((metric) => metricsOf(all).has(metric)))).map(([at]) => `the silent case of ${alert} at ${at} lacks a metric that makes it fire`);
  });
  return [...missing.map((alert) => `${alert} has no case that fires, or none that is silent`), ...unknown.map((alert) => `there is no alert ${alert}`), ...far];
}

const alerts = [...RULES.matchAll(/^ *- alert: (\w+)$/gm)].map(([, alert]) => alert);
const problems = complaints(alerts);
if (problems.length) {
  console.error(problems.join("\n"));
  process.exit(1);
}
const tests = Object.entries(CASES).flatMap(([alert, { fires, silent }]) => [...fires.map((one) => firing(alert, one)), ...silent.map((one) => quiet(alert, one))]);
// JSON is YAML, too.
console.log(JSON.stringify({ rule_files: ["rules.yaml"], evaluation_interval: "1m", tests }));
