//! The parts of a running server, and how they are joined. Holds them, and does nothing itself.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::beacons::Beacons;
use super::endpoints::Endpoints;
use super::examiner::Examiner;
use super::gauges::Gauges;
use super::inquiries::Inquiries;
use super::membership::Membership;
use super::topology::{Starts, TopologyInUse};
use crate::error::StartError;
use crate::flow::inward::preflight::{self, Orders};
use crate::flow::parts::FlowParts;
use crate::flow::state::foundation::Foundation;
use crate::local::{Command, Hub};
use crate::metrics;
use crate::nodes::Channel;
use crate::options::Options;
use crate::wire::Instance;

/// The parts of a running server.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Settings, and what this server knows of nodes and servers.
    pub(crate) foundation: Foundation,
    /// What carries messages.
    pub(crate) flow: FlowParts,
    pub(crate) topology: Arc<TopologyInUse>,
    pub(crate) beacons: Arc<Beacons>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) gauges: Gauges,
    pub(crate) inquiries: Arc<Inquiries>,
    pub(crate) examiner: Arc<Examiner>,
    /// Where this server sends itself probes.
    pub(crate) probe_channel: Channel,
}

impl Parts {
    /// Makes the parts of a server, with the nodes whose tasks are to be started, and the orders to examine addresses.
    pub(crate) fn new(
        options: Options,
        shards: Vec<mpsc::Sender<Command>>,
    ) -> Result<(Arc<Self>, Starts, Orders), StartError> {
        let instance = Instance::now();
        options.check()?;
        let endpoints = Endpoints::new(&options)?;
        let foundation = Foundation::new(options, instance)?;
        let on = &foundation;
        let has_clients = !shards.is_empty();
        let hub = Arc::new(hub(on, shards));
        if has_clients {
            let counting = Arc::downgrade(&hub);
            metrics::show_namespaces(&on.options.registry, move || Some(counting.upgrade()?.namespaces()))?;
        }
        let statuses = watch::Sender::default();
        let (preflights, orders) = preflight::orders();
        let flow = FlowParts::new(on, &hub, statuses.subscribe(), preflights);
        let probe_channel = on.channels.probe(instance);
        flow.subscriptions.hold_base(on, &probe_channel);

        let (outbound, interest) = (&flow.outbound, flow.subscriptions.interest());
        let (topology, starts) = TopologyInUse::new(on, endpoints, interest.clone(), outbound.replay(), statuses);
        let topology = Arc::new(topology);
        let inquiries = Arc::new(Inquiries::new(on, topology.clone()));
        let examiner = Arc::new(Examiner::new(on, topology.clone()));
        let beacons = Arc::new(Beacons::new(on, hub.clone(), outbound.clone(), topology.clone()));
        let membership = Membership::new(on, topology.clone(), beacons.clone(), &flow);
        let gauges = Gauges::new(on, beacons.clone(), topology.clone(), &flow, hub);
        gauges.refresh(Instant::now());
        let parts = Self {
            flow,
            topology,
            beacons,
            membership: Arc::new(membership),
            gauges,
            inquiries,
            examiner,
            probe_channel,
            foundation,
        };
        Ok((Arc::new(parts), starts, orders))
    }
}

/// Where this server's clients are.
fn hub(on: &Foundation, shards: Vec<mpsc::Sender<Command>>) -> Hub {
    let hub = Hub::new(shards);
    match on.options.observer.clone() {
        Some(observer) => hub.observed(observer, on.origin()),
        None => hub,
    }
}
