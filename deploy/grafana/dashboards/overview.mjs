// The first page: is it well, and if not, which of the other four says why?
import { better, dashboard, quantiles, row, stat, table, time, to, worse } from "./panels.mjs";

const yes = [{ type: "value", options: { 0: { text: "no", color: "red" }, 1: { text: "yes", color: "green" } } }];

export default dashboard(
  "overview",
  "wsmesh",
  "Is the cluster well? Read it from the top: what is wrong now, then traffic, errors, latency and saturation, then what happened. Edge, Bus, Backends and Game say more.",
  [
    row(
      "Now",
      stat("Clients", "sum(wsmesh_connections)", "Open connections of clients. Normal: as many as at this time on other days. A drop that nobody caused: Edge says with which codes they ended."),
      stat("ws-nodes that take clients", "sum(wsmesh_draining == bool 0)", "ws-nodes that are scraped and not draining. Normal: all of your replicas. Fewer: is one restarting, or was it drained and not resumed?", { steps: better(1), width: 3 }),
      stat("Redis nodes heard", "min(sum by (pod) (wsmesh_node_up))", "By the server that hears the fewest. Normal: all of your nodes. One left: the next fault separates servers. None: see Bus at once.", { steps: [[null, "red"], [1, "orange"], [2, "green"]], width: 3 }),
      stat("One topology", "min(wsmesh_topology_agreed)", "Whether all servers report the same map of Redis nodes. Normal: yes; no for some seconds while nodes change. Longer: admin's jobs say which server is behind.", { mappings: yes, steps: better(1), width: 3 }),
      stat("An admin leads", "max(wsmesh_leader)", "Whether one of the admins acts for all. Normal: yes, no for some seconds when one is replaced; no data where there is no Lease, as outside of Kubernetes. Without a leader nothing is scaled and no Redis pod becomes a node.", { mappings: yes, steps: better(1), width: 3 }),
      stat("Lapses", "sum(increase(wsmesh_lapses_total[$__range])) or vector(0)", "Spans of time for which the promise that nothing is lost did not hold, in the time shown. Normal: 0. More: GET /api/v1/cluster of admin says when, how long and why.", { decimals: 0, steps: worse(1) }),
      stat("Messages unsent", "sum(increase(wsmesh_unsent_total[$__range])) or vector(0)", "Messages that no Redis node took, in the time shown. Normal: 0. More: Bus says for which reason.", { decimals: 0, steps: worse(1) }),
      table("Alerts that fire", 'ALERTS{alertname=~"Wsmesh.+",alertstate="firing",namespace=~"$namespace"}', "Normal: none. Each alert names its page (runbook_url): what it means, what to look at, what to do.", { hidden: ["alertstate", "Value", "release"], width: 12 }),
      time("Servers", [["sum by (service) (max by (service, namespace) (wsmesh_servers))", "{{service}}"]], "Live servers of each service, as the servers see each other. Normal: your replicas, more while an upgrade replaces them.", { width: 12 }),
    ),
    row(
      "Traffic and errors",
      time("Frames of clients", [["sum by (direction) (rate(wsmesh_frames_total[rate]))", "{{direction}}"]], "Client frames per second: in, and out. Normal: the rhythm of your users. In stops and out goes on: clients cannot send, look at Edge. Both stop: nobody is connected.", { unit: "cps" }),
      time("Messages between servers", [['sum(rate(wsmesh_publish_total{result="ok"}[rate]))', "published"], ["sum(rate(wsmesh_receive_total[rate]))", "received"]], "Per second, over all Redis nodes. Received is more than published, as a message may be for several servers. Normal: both rise and fall together.", { unit: "cps" }),
      time("Requests of clients that fail", [['sum by (code) (rate(wsmesh_client_requests_refused_total[rate])) / scalar(sum(rate(wsmesh_frames_total{direction="in",kind="request"}[rate])))', "{{code}}"]], "The share of requests that was answered with an error, by code. Normal: next to nothing but codes of your application (other). TIMEOUT and UNAVAILABLE: a service or backend is slow or away, see Backends.", { unit: "percentunit" }),
      time("Clients turned away", [["sum by (reason) (rate(wsmesh_connections_rejected_total[rate]))", "{{reason}}"]], "Connections that were rejected before the upgrade, per second. Normal: some unauthorized. full and rate: too few ws-nodes. hook: the connect hook fails, see Backends.", { unit: "cps" }),
      time("Connections that ended", [["sum by (code) (rate(wsmesh_connections_closed_total[rate]))", "{{code}}"]], "Per second, by close code (none: the line broke). Normal: 1000, 1001 and none. 1012: a drain. 4013: a client read too slowly. A peak of one code that nobody caused is the place to begin.", { unit: "cps" }),
      time("Log lines", [["sum by (level) (rate(wsmesh_log_lines_total[rate]))", "{{level}}"]], "Per second, by level. Normal: no error and hardly a warn. error: someone should look; warn: it goes on, worse than it should.", { unit: "cps" }),
    ),
    row(
      "Latency",
      time("Events of clients", quantiles("wsmesh_event_duration_seconds"), "From the frame of a request to its reply, over all events. Normal: milliseconds, and what your backends take. Slow: Edge says which event. A dot is one trace.", { unit: "s", traces: "ws-node" }),
      time("From server to server", quantiles("wsmesh_lag_seconds"), "From publishing to receiving. Normal: p99 of some milliseconds. Slow: a Redis node or a server has no CPU left, or clocks differ; Bus says which node.", { unit: "s", traces: "ws-node", limit: 0.5 }),
      time("Requests between servers", quantiles("wsmesh_request_duration_seconds"), "From a request to its last reply. Normal: what the handler takes, and twice the time from server to server.", { unit: "s", traces: "ws-node" }),
    ),
    row(
      "Saturation",
      time("CPU", [["sum by (pod) (rate(process_cpu_seconds_total[rate]))", "{{pod}}"]], "Cores in use. Normal: well below the request of the pod at your peak. At its limit: latency rises next. Scale out.", { links: [to("edge", "pod")] }),
      time("Memory", [["sum by (pod) (process_resident_memory_bytes)", "{{pod}}"]], "Resident. Normal: it follows the clients, and stays. Rises without clients: slow clients (Edge), or a replay window that grows with the traffic (Bus).", { unit: "bytes" }),
      time("Runtime busy", [["sum by (pod, runtime) (rate(wsmesh_runtime_busy_seconds_total[rate])) / sum by (pod, runtime) (wsmesh_runtime_threads)", "{{pod}} {{runtime}}"]], "The share of time for which threads of a runtime have work. Normal: below 70 %. Near 100 %: tasks wait for a thread; more CPU, or more servers.", { unit: "percentunit", max: 1, limit: 0.9 }),
      time("Tasks that wait for a thread", [["sum by (pod, runtime) (wsmesh_runtime_queue_depth)", "{{pod}} {{runtime}}"]], "Normal: near 0. Stays above: the runtime has too few threads, or something blocks them."),
      time("How late tasks wake, p99", [["histogram_quantile(0.99, sum by (le, pod, runtime) (rate(wsmesh_runtime_late_seconds_bucket[rate])))", "{{pod}} {{runtime}}"]], "How late a runtime wakes a task that slept for a second. Normal: a few milliseconds. Late while its threads are not busy: something blocks them; a profile (/debug/profile of the ops port) says what. Late and busy: it has too much to do.", { unit: "s", limit: 0.1 }),
      time("Open files", [["process_open_fds / process_max_fds", "{{pod}}"]], "The share of files that a process may open; each connection is one. Normal: below 80 %. Near 100 %: new clients are turned away.", { unit: "percentunit", max: 1, limit: 0.9 }),
    ),
    row(
      "Processes and telemetry itself",
      time("Tasks", [["sum by (pod, runtime) (wsmesh_runtime_tasks)", "{{pod}} {{runtime}}"]], "Tasks that live. Normal: it follows connections and requests. Rises for hours: tasks are not ended; that is a bug, report it.", { width: 6 }),
      time("Heap", [["sum by (pod, kind) (wsmesh_heap_bytes)", "{{pod}} {{kind}}"]], "Resident, anonymous and peak as the kernel counts them; committed and reserved as the allocator does. Normal: committed stays near anonymous. Far above it: memory that is free and not given back yet.", { unit: "bytes", width: 6 }),
      time("Spans of traces", [["sum by (result) (rate(wsmesh_trace_spans_total[rate]))", "{{result}}"]], "Per second. Normal: exported only. dropped: more than the exporter takes, or the collector is away; refused: it says no. Nothing else suffers from that.", { unit: "cps", width: 6 }),
      time("Traces kept, and log lines summed up", [["sum by (reason) (rate(wsmesh_traces_kept_total[rate]))", "kept: {{reason}}"], ["sum(rate(wsmesh_traces_not_kept_total[rate]))", "not kept, no room"], ["sum(rate(wsmesh_log_lines_summed_total[rate]))", "log lines summed up"]], "Traces that head sampling did not choose and that were kept because they failed or were slow; those for which there was no room; repeated warnings that became one line. Normal: few.", { unit: "cps", width: 6 }),
      table("Versions", "count by (component, version, revision) (wsmesh_build_info)", "What runs. Normal: one version, two while an upgrade is under way.", { width: 24 }),
    ),
  ],
);
