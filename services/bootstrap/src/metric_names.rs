//! The names of all metrics that every server exports beside those of its adapter. A test of the whole bundle compares them with what is
//! exported.

/// Every metric of this crate, and those of the process, by name.
pub const METRIC_NAMES: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
    "wsmesh_build_info",
    "wsmesh_heap_bytes",
    "wsmesh_log_lines_summed_total",
    "wsmesh_log_lines_total",
    "wsmesh_pushed_log_lines_total",
    "wsmesh_runtime_busy_seconds_total",
    "wsmesh_runtime_late_seconds",
    "wsmesh_runtime_queue_depth",
    "wsmesh_runtime_tasks",
    "wsmesh_runtime_threads",
    "wsmesh_trace_spans_total",
    "wsmesh_traces_kept_total",
    "wsmesh_traces_not_kept_total",
];
