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
];
