//! Metrics of the process beside those that every process has: its log, its memory, its runtimes. Not registered with a service's
//! registry, as several servers in one process share them.

use prometheus::proto::MetricFamily;

use crate::{debug, runtimes, telemetry};

/// As they are now.
pub(crate) fn gather() -> Vec<MetricFamily> {
    let parts = [telemetry::metrics(), debug::heap_metrics(), runtimes::runtime_metrics()];
    // A family without values is no text that scrapers read.
    let with_values = |family: &MetricFamily| !family.get_metric().is_empty();
    parts.into_iter().flatten().filter(with_values).collect()
}
