// The ws-nodes: who comes in, what they send, what they get, and what they wait for.
import { dashboard, quantiles, row, stat, time, worse } from "./panels.mjs";

export default dashboard(
  "edge",
  "wsmesh: edge",
  "Clients and the ws-nodes that hold them: connections, frames, events by name, rooms by namespace, and what is held back for slow clients.",
  [
    row(
      "Traffic",
      stat("Clients", "sum(wsmesh_connections)", "Open connections of clients. Normal: the rhythm of your users.", { width: 6 }),
      stat("Largest ws-node", "max(wsmesh_connections) / avg(wsmesh_connections)", "Clients of the fullest ws-node, as a multiple of the average. Normal: up to 1.3. Above 1.5: clients are spread unevenly; admin's rebalance moves some.", { decimals: 2, steps: worse(1.3, 1.5), width: 6 }),
      stat("Draining", "sum(wsmesh_draining)", "ws-nodes that send their clients away. Normal: 0, some during an upgrade.", { steps: worse(1), width: 6 }),
      stat("Not yet known", "sum(wsmesh_unauthenticated_connections)", "Connections whose client has not yet said who it is. Normal: few. Many: somebody opens connections and says nothing; auth_timeout ends them.", { width: 6 }),
      time("Clients by ws-node", [["sum by (pod) (wsmesh_connections)", "{{pod}}"]], "Normal: about the same for all. New ws-nodes fill slowly, as only new clients come to them: rebalance a full one."),
      time("Connects and closes", [["sum(rate(wsmesh_connections_accepted_total[rate]))", "connects"], ["sum by (code) (rate(wsmesh_connections_closed_total[rate]))", "closed {{code}}"]], "Per second; closes by code (none: the line broke). Normal: as many closes as connects. Both are high at once: clients reconnect in waves; what closes them is the code.", { unit: "cps" }),
      time("Frames", [["sum by (direction, kind) (rate(wsmesh_frames_total[rate]))", "{{direction}} {{kind}}"]], "Per second. Normal: in follows the users, out the rooms. Many invalid or unknown: a client that speaks another protocol, or a new version of yours with a mistake.", { unit: "cps" }),
      time("Bytes of frames", [["sum by (direction) (rate(wsmesh_frame_bytes_total[rate]))", "{{direction}}"]], "Normal: in line with the frames. Out grows faster than frames: messages became larger.", { unit: "Bps" }),
      time("Messages to rooms", [["sum(rate(wsmesh_client_messages_published_total[rate]))", "by clients"]], "Messages that clients published to rooms, per second. Normal: what your namespaces allow them.", { unit: "cps" }),
      time("How long connections last", quantiles("wsmesh_connection_duration_seconds", [], [0.1, 0.5]), "p10 and p50. Normal: minutes to hours. p10 of seconds: many clients lose their connection at once after opening it; look at the close codes.", { unit: "s" }),
    ),
    row(
      "Errors",
      time("Turned away before the upgrade", [["sum by (reason) (rate(wsmesh_connections_rejected_total[rate]))", "{{reason}}"]], "Per second. Normal: some unauthorized. full, rate: scale out. hook, not_ready: see Backends. origin: a page that allowed_origins lacks. address: one address with too many connections.", { unit: "cps" }),
      time("Failed authentication", [["sum by (reason) (rate(wsmesh_auth_failures_total[rate]))", "{{reason}}"]], "Tokens and tickets that were rejected, per second. Normal: some that expired. All at once: keys were changed, or clocks differ.", { unit: "cps" }),
      time("Requests refused", [["sum by (code) (rate(wsmesh_client_requests_refused_total[rate]))", "{{code}}"]], "Requests that were answered with an error, per second. Normal: only codes of your application (other). UNKNOWN_EVENT: no rule for it. TIMEOUT, UNAVAILABLE: see Backends. OVERLOADED: a service is full.", { unit: "cps" }),
      time("Events that fail, by name", [['topk(10, sum by (event, result) (rate(wsmesh_events_total{result!="ok"}[rate])))', "{{event}} {{result}}"]], "The ten that fail most, per second. Normal: none. One event: its backend or service. All events: a ws-node or the bus.", { unit: "cps" }),
      time("Not allowed, and limits", [["sum by (what) (rate(wsmesh_client_denied_total[rate]))", "not allowed: {{what}}"], ["sum by (limit) (rate(wsmesh_client_limits_reached_total[rate]))", "limit: {{limit}}"]], "What tokens and settings do not allow, and limits that clients reached, per second. Normal: next to nothing. flood: a client was disconnected for it.", { unit: "cps" }),
      time("Handlers that fail, wills, logins", [["sum by (reason) (rate(wsmesh_handler_failures_total[rate]))", "handler: {{reason}}"], ["sum(rate(wsmesh_wills_carried_out_total[rate]))", "wills carried out"], ["sum by (outcome) (rate(wsmesh_logins_total[rate]))", "login: {{outcome}}"]], "Per second. Normal: logins that are alone. replaced: the same client came a second time. A will: a server that held state for a client was lost.", { unit: "cps" }),
    ),
    row(
      "Latency",
      time("Events by name, p99", [["topk(10, histogram_quantile(0.99, sum by (le, event) (rate(wsmesh_event_duration_seconds_bucket[rate]))))", "{{event}}"]], "The ten slowest, from the frame of a request to its reply. Normal: what their backends take. A dot is one trace: open it to see where the time went.", { unit: "s", traces: "ws-node", width: 12 }),
      time("Handshake", quantiles("wsmesh_handshake_duration_seconds"), "From the upgrade request to the session, the connect hook included. Normal: milliseconds. Slow: the hook, the keys, or no CPU.", { unit: "s", width: 6 }),
      time("Ping to pong", quantiles("wsmesh_ping_rtt_seconds"), "Round trip to clients. Normal: what their networks take, tens to hundreds of milliseconds. It rises for all: the way out is full.", { unit: "s", width: 6 }),
    ),
    row(
      "Events and namespaces",
      time("Events by name", [["topk(10, sum by (event) (rate(wsmesh_events_total[rate])))", "{{event}}"]], "The ten most frequent, per second. Normal: the rhythm of your application. other: names that no rule has.", { unit: "cps" }),
      time("Members by namespace", [["sum by (namespace) (wsmesh_namespace_members)", "{{namespace}}"]], "Clients in rooms; one in two rooms counts twice. Normal: it follows the clients. Grows without them: rooms are joined and never left."),
      time("Rooms by namespace", [["sum by (namespace) (wsmesh_namespace_rooms)", "{{namespace}}"]], "Rooms with a member on a ws-node; a room on two of them counts twice. Normal: it follows the members."),
      time("Messages by namespace", [["sum by (namespace) (rate(wsmesh_namespace_messages_total[rate]))", "{{namespace}}"]], "Messages that were delivered to rooms with local members, per second. Normal: the rhythm of the application. One namespace far above the others is the one to look at.", { unit: "cps" }),
      time("Rooms and channels by ws-node", [["sum by (pod) (wsmesh_rooms)", "{{pod}} rooms"], ["sum by (pod) (wsmesh_topics)", "{{pod}} channels"]], "Rooms with a local member, and channels that a server is subscribed to on each Redis node. Normal: they move together."),
      time("Tickets and watches", [["sum(wsmesh_tickets)", "tickets not used yet"], ["sum by (component) (wsmesh_watches)", "clients watched, {{component}}"]], "One-time tickets that were issued and not used yet; clients that an operator follows. Normal: few. Many tickets: clients get them and do not come."),
    ),
    row(
      "Saturation",
      time("Waiting for clients", [["sum by (pod) (wsmesh_outbox_bytes)", "{{pod}}"]], "Bytes that wait for clients; a frame counts for each client that it waits for. Normal: near 0. Near outbox_total_bytes the slowest clients are closed.", { unit: "bytes" }),
      time("Slow clients", [["sum(rate(wsmesh_slow_clients_closed_total[rate]))", "closed"], ["sum by (how) (rate(wsmesh_outbox_frames_spared_total[rate]))", "frames {{how}}"]], "Clients that were closed because they read too slowly, and frames that delivery rules spared them, per second. Normal: hardly any. Many: something sends more than clients can take.", { unit: "cps" }),
      time("Shards busy", [['sum by (pod) (rate(wsmesh_runtime_busy_seconds_total{runtime="shards"}[rate])) / sum by (pod) (wsmesh_runtime_threads{runtime="shards"})', "{{pod}}"]], "The share of time for which the threads that hold clients have work. Normal: below 70 %. Near 100 %: frames wait. More ws-nodes, or more cores.", { unit: "percentunit", max: 1, limit: 0.9 }),
      time("Drains", [["sum by (pod) (wsmesh_draining)", "{{pod}}"]], "1 while a ws-node sends its clients away. Normal: minutes. A quarter of an hour: it was drained and not resumed.", { max: 1, width: 12 }),
      time("Open files", [["process_open_fds / process_max_fds", "{{pod}}"]], "The share of files that a process may open; each connection is one. Normal: below 80 %.", { unit: "percentunit", max: 1, limit: 0.9, width: 12 }),
    ),
  ],
);
