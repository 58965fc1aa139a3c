//! The names of all metrics of admin. A test of the whole bundle compares them with what its ops ports show, with the documents, and with
//! what alerts and dashboards ask for.

/// Every metric of admin by name, without those of its adapter.
pub const METRIC_NAMES: &[&str] = &[
    "wsmesh_auth_failures_total",
    "wsmesh_http_request_duration_seconds",
    "wsmesh_http_requests_total",
    "wsmesh_jobs_running",
    "wsmesh_jobs_total",
    "wsmesh_leader",
    "wsmesh_nodes_not_joined",
    "wsmesh_nodes_wanted",
    "wsmesh_redis_bytes_total",
    "wsmesh_redis_clients",
    "wsmesh_redis_commands_total",
    "wsmesh_redis_evicted_keys_total",
    "wsmesh_redis_memory_bytes",
    "wsmesh_redis_memory_limit_bytes",
    "wsmesh_redis_rejected_connections_total",
    "wsmesh_redis_slow_commands_total",
    "wsmesh_redis_subscriber_buffer_bytes",
    "wsmesh_redis_up",
    "wsmesh_redis_uptime_seconds",
    "wsmesh_token_files_wrong",
    "wsmesh_watches",
];
