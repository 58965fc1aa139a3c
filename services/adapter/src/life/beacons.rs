//! This server's description of itself, and the beacons that carry it through every node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::topology::TopologyInUse;
use crate::cluster::{Beacon, FORMAT, Parting};
use crate::flow::outward::outbound::Outbound;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::server_info::ServerInfo;
use crate::local::Hub;
use crate::nodes::Channel;

/// Longest wait for a beacon's PUBLISH: others will follow.
const PUBLISH_LIMIT: Duration = Duration::from_millis(500);
/// Others have received a beacon, and acted on it, after this time.
const TAKEN_IN_AFTER: Duration = Duration::from_millis(100);

/// Sends this server's beacons.
#[derive(Debug)]
pub(crate) struct Beacons {
    on: Foundation,
    hub: Arc<Hub>,
    outbound: Arc<Outbound>,
    topology: Arc<TopologyInUse>,
    channel: Channel,
    /// The next one's number.
    next: AtomicU64,
    /// Somebody may have missed the last beacon: another one follows soon.
    to_be_repeated: AtomicBool,
}

impl Beacons {
    pub(crate) fn new(
        foundation: &Foundation,
        hub: Arc<Hub>,
        outbound: Arc<Outbound>,
        topology: Arc<TopologyInUse>,
    ) -> Self {
        Self {
            channel: foundation.channels.beacon(),
            on: foundation.clone(),
            hub,
            outbound,
            topology,
            next: AtomicU64::new(1),
            to_be_repeated: AtomicBool::new(false),
        }
    }

    /// Another beacon is to follow soon.
    pub(crate) fn repeat_soon(&self) {
        self.to_be_repeated.store(true, Ordering::Relaxed);
    }

    /// Whether another beacon is to follow; resets that.
    pub(crate) fn take_repeat(&self) -> bool {
        self.to_be_repeated.swap(false, Ordering::Relaxed)
    }

    /// This server's description of itself, as of now. One that only visits must change nothing for the others.
    pub(crate) fn beacon(&self) -> Beacon {
        let (on, now) = (&self.on, Instant::now());
        let (topology, settings) = match on.options.visiting {
            true => Default::default(),
            false => (
                serde_json::to_value(self.topology.entries()).unwrap_or_default(),
                on.options.shared_settings(),
            ),
        };
        let nodes = self.topology.nodes();
        let subscribers = nodes
            .iter()
            .filter_map(|node| Some((node.id.clone(), node.subscriber()?)));
        let gaps = nodes.iter().map(|node| (node.id.clone(), node.health.gaps()));
        Beacon {
            format: FORMAT,
            cluster_id: on.options.cluster_id.clone(),
            name: on.options.name.clone(),
            service: on.options.service.clone(),
            instance: on.members.instance(),
            version: on.options.version.clone(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            counted: on.members.is_counted() && !on.options.visiting,
            heard: on.hearing.node_ids(now),
            runs: self.topology.runs().all(),
            gaps: gaps.filter(|(_, count)| *count > 0).collect(),
            subscribers: subscribers.collect(),
            mark: self.outbound.mark(),
            topology,
            settings,
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            parting: on.members.parting(),
            rival: on.members.rival(),
        }
    }

    /// Every live server, this one included, sorted by name.
    pub(crate) fn servers(&self, now: Instant) -> Vec<ServerInfo> {
        let on = &self.on;
        let me = ServerInfo {
            name: on.options.name.clone(),
            service: on.options.service.clone(),
            instance: on.members.instance(),
            version: on.options.version.clone(),
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            heard: on.hearing.node_ids(now),
            counted: on.members.is_counted(),
            retiring: on.members.parting() > Parting::Staying,
            age_ms: 0,
        };
        on.members.servers(me, now)
    }

    /// Through every node, whatever its health: a node that some hear carries it to them.
    pub(crate) async fn publish(&self, beacon: &Beacon) {
        let bytes = Bytes::from(beacon.encode());
        let nodes = self.topology.nodes();
        let limit = self.on.options.command_timeout.min(PUBLISH_LIMIT);
        let sending = nodes
            .iter()
            .map(|node| node.publish_soon(&self.channel, bytes.clone(), limit));
        for result in join_all(sending).await {
            if let Err(error) = result {
                tracing::trace!("a beacon was not published: {error}");
            }
        }
    }

    /// Tells others to give this server nothing new, and waits until they may have received that.
    pub(crate) async fn retire(&self) {
        let members = &self.on.members;
        let news = members.part(Parting::Retiring);
        if !news || self.on.is_alone() || members.roster().len() == 0 {
            return;
        }
        self.publish(&self.beacon()).await;
        sleep(TAKEN_IN_AFTER).await;
    }

    /// Says goodbye.
    pub(crate) async fn leave(&self) {
        self.on.members.part(Parting::Leaving);
        self.publish(&self.beacon()).await;
    }
}
