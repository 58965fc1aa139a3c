//! The gauges: current counts, written to the metrics with every beacon.

use std::sync::Arc;

use tokio::time::Instant;

use super::beacons::Beacons;
use super::node_view::NodeState;
use super::topology::TopologyInUse;
use crate::flow::clients::subscriptions::Subscriptions;
use crate::flow::outward::outbound::Outbound;
use crate::flow::parts::FlowParts;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::local::Hub;
use crate::metrics::Metrics;

/// Sets the gauges.
#[derive(Debug)]
pub(crate) struct Gauges {
    beacons: Arc<Beacons>,
    members: Arc<Members>,
    topology: Arc<TopologyInUse>,
    outbound: Arc<Outbound>,
    subscriptions: Arc<Subscriptions>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
}

impl Gauges {
    pub(crate) fn new(
        foundation: &Foundation,
        beacons: Arc<Beacons>,
        topology: Arc<TopologyInUse>,
        flow: &FlowParts,
        hub: Arc<Hub>,
    ) -> Self {
        Self {
            beacons,
            members: foundation.members.clone(),
            topology,
            outbound: flow.outbound.clone(),
            subscriptions: flow.subscriptions.clone(),
            hub,
            metrics: foundation.metrics.clone(),
        }
    }

    /// Brings the views and gauges up to date. Receivers of a view are notified only if it changed.
    pub(crate) fn refresh(&self, now: Instant) {
        self.topology.refresh(now);
        let servers = self.beacons.servers(now);
        let metrics = &self.metrics;
        metrics
            .cluster
            .count_servers(servers.iter().map(|server| server.service.as_str()));
        metrics.cluster.rooms.set(self.hub.room_count() as f64);
        metrics.cluster.topics.set(self.subscriptions.interest().len() as f64);
        metrics
            .sending
            .copies_waiting
            .set(self.outbound.copies_waiting() as i64);
        metrics
            .sending
            .messages_waiting
            .set(self.outbound.messages_waiting() as i64);
        self.measure_topology();
        // `Membership` reports changes of others. Changes of this server are reported here: whether it counts, and which nodes it
        // hears.
        self.members.refresh(servers);
    }

    fn measure_topology(&self) {
        let view = self.topology.view();
        let states = [
            (NodeState::Joining, "joining"),
            (NodeState::Active, "active"),
            (NodeState::Draining, "draining"),
            (NodeState::Gone, "gone"),
        ];
        for (state, label) in states {
            let count = view.iter().filter(|node| node.state == state).count();
            let gauge = self.metrics.nodes.by_state.with_label_values(&[label]);
            gauge.set(count as i64);
        }
        let agreed = view.iter().all(|node| node.is_agreed());
        self.metrics.nodes.agreed.set(i64::from(agreed));
    }
}
