//! The handle: what a service holds to reach clients and servers. Cheap to clone, usable from any thread.
//!
//! Every method that sends goes the same way: local clients first, then an envelope through one healthy node. The promise: a
//! message accepted from a live sender reaches, once, every live server that was subscribed and shares a working node
//! with the sender within the replay window. Order: per topic and sender, while the topic's node stays the same.
//! `services/ARCHITECTURE.md` lists what is not promised; [`Adapter::lapses`] reports when it happens.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::error::StartError;
use crate::flow::ask::requests::OrderKey;
use crate::flow::outward::seal::PublishOptions;
use crate::flow::state::lapse::Lapse;
use crate::flow::state::server_info::ServerInfo;
use crate::life::driver::Driver;
use crate::life::parts::Parts;
use crate::local::ShardInbox;
use crate::nodes::NodeStatus;
use crate::options::Options;
use crate::settings::{Difference, differences};
use crate::wire::{Instance, ServerName, ServiceName};

/// Commands that wait for one shard. When the queue is full, deliveries wait.
const SHARD_INBOX: usize = 16_384;

/// The result of [`Adapter::start`].
#[derive(Debug)]
pub struct Started {
    /// The cheap, clone-able handle.
    pub adapter: Adapter,
    /// Owns every task.
    pub driver: Driver,
    /// One per shard asked for, in order; each is moved to the thread that owns it.
    pub shards: Vec<ShardInbox>,
}

/// The handle: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(super) parts: Arc<Parts>,
    /// Orders the messages of this handle, in place of their topics.
    order_key: OrderKey,
}

impl Adapter {
    /// Starts the adapter's tasks on the current tokio runtime. Connecting goes on in the background: see
    /// [`Adapter::ready`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use wsmesh_adapter::{Adapter, Options, ServerName, ServiceName, Started};
    ///
    /// let options = Options::new(ServerName::new("logic-1").unwrap(), ServiceName::new("game-logic").unwrap());
    /// let Started { adapter, driver, .. } = Adapter::start(options).unwrap();
    /// adapter.ready().await;
    /// driver.shutdown(std::time::Duration::from_secs(5)).await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// When the options contradict each other, or a file that they name cannot be used.
    pub fn start(options: Options) -> Result<Started, StartError> {
        let (limits, delivery) = (options.outbox, options.delivery.clone());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..options.shards).map(|_| mpsc::channel(SHARD_INBOX)).unzip();
        let (parts, starts, preflights) = Parts::new(options, senders)?;
        let shards = receivers.into_iter().enumerate();
        let shards = shards
            .map(|(index, commands)| ShardInbox {
                index,
                commands,
                limits,
                delivery: delivery.clone(),
            })
            .collect();
        let driver = Driver::start(parts.clone(), starts, preflights);
        Ok(Started {
            adapter: Adapter { parts, order_key: None },
            driver,
            shards,
        })
    }

    /// A handle whose messages are ordered by a key in place of their topics: with the strategy `ordered`, all messages of
    /// one key take one node, whatever their topics, and arrive at each server in the order of the calls, as long as that
    /// node stays the same. For a match, say, whose events go to several rooms and players.
    #[must_use]
    pub fn with_order_key(&self, key: &str) -> Self {
        Self {
            parts: self.parts.clone(),
            order_key: Some(key.into()),
        }
    }

    /// The key that orders the messages of this handle, in place of their topics.
    pub(super) fn order_key(&self) -> OrderKey {
        self.order_key.clone()
    }

    /// How a message of this handle is published.
    pub(super) fn publish_options(&self) -> PublishOptions {
        PublishOptions {
            order_key: self.order_key(),
            ..PublishOptions::default()
        }
    }

    /// This server's name.
    pub fn name(&self) -> &ServerName {
        &self.parts.foundation.options.name
    }

    /// This server's service.
    pub fn service(&self) -> &ServiceName {
        &self.parts.foundation.options.service
    }

    /// This process's identity.
    pub fn instance(&self) -> Instance {
        self.parts.foundation.members.instance()
    }

    /// Whether this server counts (see [`Adapter::ready`]) and hears a node now. Always true in single-server mode.
    pub fn is_ready(&self) -> bool {
        let on = &self.parts.foundation;
        on.members.is_counted() && (on.is_alone() || on.hearing.mask(Instant::now()) != 0)
    }

    /// Whether this server is connected to a node, heard or not. If it is not, joins and attachments cannot be confirmed for
    /// now. Always true in single-server mode.
    pub fn is_connected(&self) -> bool {
        let on = &self.parts.foundation;
        on.is_alone() || on.hearing.is_connected()
    }

    /// Tells other servers to give this one nothing new: requests to "one of a service" go elsewhere if there is another.
    /// Resolves when they have had time to receive that, at once if there are no others. It cannot be undone. The next step is
    /// [`Driver::shutdown`](crate::Driver::shutdown), which also does this if it was not done before.
    pub async fn retire(&self) {
        self.parts.beacons.retire().await;
    }

    /// Resolves once this server counts: it hears every active node that can be heard, and knows the others. A node that cannot be
    /// heard delays that by some seconds at most, see [`Options::probe_interval`] and [`Options::command_timeout`].
    pub async fn ready(&self) {
        // The sender lives as long as this handle.
        let _ = self
            .parts
            .foundation
            .members
            .counted()
            .wait_for(|counted| *counted)
            .await;
    }

    /// The live servers, this one included, sorted by name. The receiver is notified when one comes, goes or hears other
    /// nodes; ages and loads are updated with every beacon, without a notification.
    pub fn roster(&self) -> watch::Receiver<Arc<Vec<ServerInfo>>> {
        self.parts.foundation.members.view()
    }

    /// The live servers, this one included, sorted by name, as of now.
    pub fn servers(&self) -> Vec<ServerInfo> {
        self.parts.beacons.servers(Instant::now())
    }

    /// The nodes' statuses, sorted by id. The receiver is notified when one changes, but not for a round trip alone.
    pub fn nodes(&self) -> watch::Receiver<Arc<Vec<NodeStatus>>> {
        self.parts.topology.statuses()
    }

    /// Spans of time for which the promise did not hold, as this server noticed them: the last 100, oldest first. They are
    /// logged and counted (`wsmesh_lapses_total`), too.
    pub fn lapses(&self) -> watch::Receiver<Arc<Vec<Lapse>>> {
        self.parts.foundation.lapses.subscribe()
    }

    /// Adds what this server tells about itself when it is asked for its totals ([`Adapter::cluster_stats`]), or replaces the
    /// report with this name. `report` is called only then, must be quick and must not wait.
    pub fn add_report(&self, name: &str, report: impl Fn() -> serde_json::Value + Send + Sync + 'static) {
        self.parts.foundation.options.reports.add(name, report);
    }

    /// Settings in which live servers differ from this one, sorted. Nodes that a server was not configured with are used all
    /// the same: the topology is shared. But after a restart of all servers at once only configured nodes are known.
    pub fn differences(&self) -> Vec<Difference> {
        let on = &self.parts.foundation;
        let roster = on.members.roster();
        let servers = roster.iter();
        let mut found: Vec<_> = servers
            .flat_map(|(beacon, _)| differences(&on.options, &beacon.name, &beacon.settings))
            .collect();
        found.sort();
        found
    }
}
