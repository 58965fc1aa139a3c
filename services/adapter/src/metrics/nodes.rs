//! What is shown of the nodes: how this server hears each, and the map of them.

use prometheus::{
    GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, register_gauge_vec_with_registry as gauges,
    register_int_counter_vec_with_registry as counters, register_int_gauge_vec_with_registry as int_gauges,
    register_int_gauge_with_registry as int_gauge,
};

use crate::nodes::NodeStatus;

/// The nodes, as this server hears them.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    up: IntGaugeVec,
    ping: GaugeVec,
    gaps: IntCounterVec,
    reconnects: IntCounterVec,
    pub(crate) agreed: IntGauge,
    pub(crate) by_state: IntGaugeVec,
    pub(crate) changes: IntCounterVec,
}

impl NodeMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            up: int_gauges!(
                "wsmesh_node_up",
                "1 while this server hears the node.",
                &["node"],
                registry
            )?,
            ping: gauges!(
                "wsmesh_node_ping_seconds",
                "Last round trip of a probe.",
                &["node"],
                registry
            )?,
            gaps: counters!(
                "wsmesh_node_gaps_total",
                "Interruptions of hearing: connections for subscribing that ended, and probes that were missing.",
                &["node"],
                registry
            )?,
            reconnects: counters!(
                "wsmesh_node_reconnects_total",
                "Connections opened again.",
                &["node"],
                registry
            )?,
            agreed: int_gauge!(
                "wsmesh_topology_agreed",
                "1 while all live servers report the same map of nodes.",
                registry
            )?,
            by_state: int_gauges!("wsmesh_topology_nodes", "Nodes of the topology.", &["state"], registry)?,
            changes: counters!(
                "wsmesh_topology_changes_total",
                "Changes of the topology that this server followed.",
                &["trigger", "result"],
                registry
            )?,
        })
    }

    /// Shows a node's status.
    pub(crate) fn set(&self, status: &NodeStatus) {
        let labels = [status.id.as_str()];
        self.up.with_label_values(&labels).set(i64::from(status.heard));
        let ping = status.rtt_ms.unwrap_or(0.0) / 1000.0;
        self.ping.with_label_values(&labels).set(ping);
        raise(&self.gaps.with_label_values(&labels), status.gaps);
        raise(&self.reconnects.with_label_values(&labels), status.reconnects);
    }

    /// Removes the metrics of a node that is not used any more.
    pub(crate) fn forget(&self, id: &str) {
        // Each fails if there is none, which is fine.
        let _ = self.up.remove_label_values(&[id]);
        let _ = self.ping.remove_label_values(&[id]);
        let _ = self.gaps.remove_label_values(&[id]);
        let _ = self.reconnects.remove_label_values(&[id]);
    }
}

/// Raises a counter to a total that is counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NodeId;

    fn status(gaps: u64) -> NodeStatus {
        NodeStatus {
            id: NodeId::new("redis-0").expect("valid"),
            address: String::new(),
            heard: true,
            rtt_ms: None,
            error: None,
            reconnects: 0,
            gaps,
        }
    }

    #[test]
    fn a_counter_follows_the_status_of_its_node() {
        let metrics = NodeMetrics::new(&Registry::new()).expect("registered");
        metrics.set(&status(2));
        metrics.set(&status(5));
        assert_eq!(metrics.gaps.with_label_values(&["redis-0"]).get(), 5);
    }

    #[test]
    fn a_node_that_is_added_again_begins_at_zero() {
        let metrics = NodeMetrics::new(&Registry::new()).expect("registered");
        metrics.set(&status(2));
        metrics.forget("redis-0");
        metrics.set(&status(1));
        assert_eq!(metrics.gaps.with_label_values(&["redis-0"]).get(), 1);
    }
}
