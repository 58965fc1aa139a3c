//! The adapter's metrics, by what they are about. Labels are bounded: node ids, topic kinds, results, services.

mod cluster;
mod names;
mod namespaces;
mod nodes;
mod receiving;
mod requests;
mod sending;
mod times;

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry as counters};

use crate::local::NamespaceCount;
use cluster::ClusterMetrics;
pub use names::METRIC_NAMES;
use nodes::NodeMetrics;
use receiving::Receiving;
use requests::RequestMetrics;
use sending::Sending;
pub(crate) use times::{SHORTEST_TIME, TIME_BUCKETS};

/// Everything that the adapter counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    pub(crate) requests: RequestMetrics,
    pub(crate) nodes: NodeMetrics,
    pub(crate) cluster: ClusterMetrics,
    /// Spans of time for which the promise did not hold.
    pub(crate) lapses: IntCounterVec,
}

impl Metrics {
    /// Creates and registers all metrics.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            sending: Sending::new(registry)?,
            receiving: Receiving::new(registry)?,
            requests: RequestMetrics::new(registry)?,
            nodes: NodeMetrics::new(registry)?,
            cluster: ClusterMetrics::new(registry)?,
            lapses: counters!(
                "wsmesh_lapses_total",
                "Spans of time for which the promise did not hold.",
                &["reason"],
                registry
            )?,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// A rate needs a series that was there before: those that something may alert on begin with 0.
    fn begin(&self) {
        let of_reasons: [(&IntCounterVec, &[&str]); 5] = [
            (&self.lapses, &["isolated", "stalled", "window-too-small", "expired"]),
            (&self.sending.rerouted, &["refused", "cover"]),
            (&self.sending.unsent, &["too-large", "isolated", "no-room", "expired"]),
            (&self.sending.replayed, &["ok", "expired", "given-up"]),
            (&self.requests.repeated, &["waited", "answered", "conflict"]),
        ];
        for (counters, labels) in of_reasons {
            labels.iter().for_each(|label| _ = counters.with_label_values(&[label]));
        }
        for labels in [["in", "ok"], ["out", "ok"], ["out", "timed-out"]] {
            self.requests.results.with_label_values(&labels);
        }
        for trigger in ["add", "found", "drain", "beacon", "time"] {
            self.nodes.changes.with_label_values(&[trigger, "ok"]);
        }
    }
}

/// Also shows what is counted of the rooms of each namespace, for as long as `source` tells it.
pub(crate) fn show_namespaces(
    registry: &Registry,
    source: impl Fn() -> Option<Vec<NamespaceCount>> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    namespaces::register(registry, source)
}

#[cfg(test)]
mod tests {
    use prometheus::proto::MetricType;

    use super::*;

    #[test]
    fn metrics_named_total_are_counters() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).expect("registered");
        metrics.sending.evicted.inc();
        let families = registry.gather();
        let totals = families.iter().filter(|family| family.name().ends_with("_total"));
        for family in totals.clone() {
            assert_eq!(family.get_field_type(), MetricType::COUNTER, "{}", family.name());
        }
        assert!(totals.count() > 5);
    }
}
