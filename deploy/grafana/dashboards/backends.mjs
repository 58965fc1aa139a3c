// What ws-nodes call over HTTP, and the callers of admin.
import { dashboard, quantiles, row, time } from "./panels.mjs";

export default dashboard(
  "backends",
  "wsmesh: backends",
  "Programs of yours that ws-nodes call: backends of rules, the connect hook, watches, the provider of keys; and the requests to admin.",
  [
    row(
      "Traffic and errors",
      time("Calls", [["sum by (backend, result) (rate(wsmesh_backend_requests_total[rate]))", "{{backend}} {{result}}"]], "Per second. Normal: ok. timeout: the backend is too slow. unreachable, broken: it is away. breaker_open: it failed and is not called. overloaded: max_in_flight is reached.", { unit: "cps", width: 12 }),
      time("Calls that fail", [['sum by (backend) (rate(wsmesh_backend_requests_total{result!="ok"}[rate])) / sum by (backend) (rate(wsmesh_backend_requests_total[rate]))', "{{backend}}"]], "The share of calls. Normal: 0. Its clients get UNAVAILABLE or TIMEOUT.", { unit: "percentunit", max: 1, width: 6 }),
      time("Not called, because it failed", [["max by (backend) (wsmesh_backend_breaker_open)", "{{backend}}"]], "1 while a backend is not called, except to find out whether it works again. Normal: 0. The log of ws-node says what went wrong.", { max: 1, width: 6 }),
    ),
    row(
      "Latency",
      time("Time of calls, p99", quantiles("wsmesh_backend_request_seconds", ["backend"], [0.99]), "From the beginning of a call to the last byte of its answer. Normal: what your backend takes. Near timeout_ms: events begin to fail. A dot is one trace.", { unit: "s", traces: "ws-node", width: 12 }),
      time("Time of calls, p50", quantiles("wsmesh_backend_request_seconds", ["backend"], [0.5]), "Half of the calls are faster. Normal: far below p99. It rises with p99: the backend is slow as a whole; p99 alone: some of its calls.", { unit: "s", traces: "ws-node", width: 12 }),
    ),
    row(
      "Saturation",
      time("Calls under way", [["sum by (backend) (wsmesh_backend_in_flight)", "{{backend}}"]], "Normal: calls per second, times what a call takes. At max_in_flight: further events are refused with OVERLOADED."),
      time("Sent again", [["sum by (backend) (rate(wsmesh_backend_retries_total[rate]))", "{{backend}}"]], "Requests that were sent again, per second. Normal: none. A few: connections that the backend closes too early.", { unit: "cps" }),
      time("Listeners that are full", [["sum by (pod) (rate(wsmesh_events_refused_total[rate]))", "{{pod}}"]], "Events that a service refused because its queue is full, per second. Normal: 0. More: scale that service.", { unit: "cps" }),
    ),
    row(
      "Who may connect",
      time("Connect hook", [["sum by (result) (rate(wsmesh_connect_hook_total[rate]))", "{{result}}"]], "Upgrades that the hook was asked about, per second. Normal: allowed, some refused. failed, timed_out, overloaded, unusable: clients get 503 because nobody says who they are.", { unit: "cps" }),
      time("Keys of tokens", [["sum by (result) (increase(wsmesh_jwks_fetches_total[rate]))", "{{result}}"]], "Fetches of the keys that verify tokens. Normal: ok, every ten minutes. failed: the last good keys stay in use, and a ws-node that starts now is not ready."),
      time("Failed authentication", [["sum by (component, reason) (rate(wsmesh_auth_failures_total[rate]))", "{{component}} {{reason}}"]], "At the edge and at admin, per second. Normal: some that expired.", { unit: "cps" }),
    ),
    row(
      "Watches: what happens to clients, told to a backend or service",
      time("Events that wait", [["sum by (watch) (wsmesh_lifecycle_events_waiting)", "watch {{watch}}"]], "Normal: near 0. Grows: the consumer is slow or away. At max_waiting the oldest are dropped."),
      time("Events told", [["sum by (watch) (rate(wsmesh_lifecycle_events_sent_total[rate]))", "watch {{watch}}"], ["sum by (watch) (rate(wsmesh_lifecycle_events_repeated_total[rate]))", "watch {{watch}}, again"]], "Per second. Normal: it follows connects and closes; none again.", { unit: "cps" }),
      time("Events dropped", [["sum by (watch, reason) (rate(wsmesh_lifecycle_events_dropped_total[rate]))", "watch {{watch}} {{reason}}"]], "Per second. Normal: none. full: more than max_waiting. too_old: older than keep_ms. refused: the consumer said no. ended: a ws-node ended with them.", { unit: "cps" }),
    ),
    row(
      "Admin",
      time("Requests to admin", [["sum by (route, status) (rate(wsmesh_http_requests_total[rate]))", "{{route}} {{status}}"]], "Per second. Normal: 2xx, and 304 of dashboards. 5xx: see the log of admin. 401: somebody without a token that counts.", { unit: "cps" }),
      time("Time of requests, p99", quantiles("wsmesh_http_request_duration_seconds", ["route"], [0.99]), "Time to answer. Normal: milliseconds; those that wait for a change take its time. A dot is one trace.", { unit: "s", traces: "admin" }),
      time("Tokens files that are wrong", [["sum by (pod) (wsmesh_token_files_wrong)", "{{pod}}"]], "Files with tokens that are wrong since their last change; the tokens before it are in force. Normal: 0."),
    ),
  ],
);
