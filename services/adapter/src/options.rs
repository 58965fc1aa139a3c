//! The options of a server: its name, its bus and its bounds. Plain data with defaults; checked by `start`.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use crate::error::StartError;
use crate::local::{ClientObserver, Delivery, OutboxLimits};
use crate::nodes::{MemoryBus, NodeUrl, SILENT_INTERVALS, Strategy};
use crate::reports::Reports;
use crate::wire::{ClusterId, Encoding, Room, Routing, ServerName, ServiceName};

/// How servers reach each other.
#[derive(Debug, Clone, Default)]
pub enum Bus {
    /// No other servers: single-server mode. Everything local works, nothing is sent.
    #[default]
    Alone,
    /// Several servers in one process.
    Memory(MemoryBus),
    /// Several plain Redis nodes, used for pub/sub only.
    Redis(Vec<NodeUrl>),
}

/// Nodes that were found, or why none could be.
pub type FoundNodes = Result<Vec<NodeUrl>, String>;

/// Finds the first nodes of a server, for example in DNS. It is asked at the start, and every few seconds while the server
/// hears no node. Nodes that the server does not know are used then; what other servers know about nodes, by their beacons,
/// is always newer.
pub trait FirstNodes: fmt::Debug + Send + Sync {
    /// The URL whose user, password and files are used with the nodes that are found, and with all later nodes.
    fn login(&self) -> &NodeUrl;
    /// Looks now. Must end by itself within some seconds.
    ///
    /// # Errors
    /// A sentence that says why nothing can be found.
    fn find(&self) -> Pin<Box<dyn Future<Output = FoundNodes> + Send + '_>>;
}

/// Everything that [`Adapter::start`](crate::Adapter::start) needs. [`Options::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Unique name of this process.
    pub name: ServerName,
    /// What kind of server it is.
    pub service: ServiceName,
    /// Version that other servers and the admin API see. Default: this crate's.
    pub version: String,
    /// How servers reach each other. Default: not at all.
    pub bus: Bus,
    /// How this server finds nodes while it hears none, in addition to those of a Redis bus, which may be empty then. Default:
    /// it does not.
    pub first_nodes: Option<Arc<dyn FirstNodes>>,
    /// Put before every channel name, so that several clusters can share Redis nodes. Default `wsmesh:`.
    pub prefix: String,
    /// The cluster that this server belongs to. Servers with another id on the same channels are not met; those of one cluster
    /// end with an error: of the one that is not at work yet, or has a single server, or else of the younger one. Default empty: it fits every cluster.
    pub cluster_id: ClusterId,
    /// Which channels messages take. Default direct; shared joins a cluster of servers of the JavaScript package
    /// (websocket-cross-server-adapter).
    pub routing: Routing,
    /// Envelopes from this size on, in bytes, are compressed (LZ4); readers need no setting. Default none: small messages
    /// gain nothing, and servers of earlier versions could not read them.
    pub compress_above: Option<usize>,
    /// How envelopes are written; readers accept both. Default MessagePack, as in the JavaScript package.
    pub encoding: Encoding,
    /// How the node for a message is chosen among those that everyone concerned hears. Default ordered.
    pub strategy: Strategy,
    /// How often a server probes each node. Default 1 s: a dead node is noticed within three.
    pub probe_interval: Duration,
    /// Longest wait for one Redis command. Default 2 s, as `redisPingTimeout` of the JavaScript package.
    pub command_timeout: Duration,
    /// Longest wait for replies, unless the request says otherwise, and for nodes to confirm a join. Default 4 s: clients wait 5 s
    /// by default, so they get the error before they give up.
    pub request_timeout: Duration,
    /// How long a channel stays subscribed after its last local member left. Default 5 s, so that a quick rejoin is free.
    pub unsubscribe_delay: Duration,
    /// Rooms that this server stays subscribed to, whether it has members or not: joining them costs nothing. With shared
    /// routing that is their namespace. Default none.
    pub preset_rooms: Vec<Room>,
    /// How long after its publishing a message still reaches a server that could not get it at once, because a node died or
    /// that server's hearing was interrupted. While no node is heard, messages are accepted for the same time. Default 6 s: longer
    /// than it takes to notice a dead node.
    pub replay_window: Duration,
    /// Most memory for the messages of that window, in bytes, and as much again for messages that wait while no node is heard.
    /// Default 64 MiB. If it is too small for the window, that is logged and counted.
    pub replay_bytes: usize,
    /// Largest message that is published, in bytes; a larger one is rejected with an error. Default 8 MiB: a quarter of what Redis
    /// holds for a subscriber by default, and far more than any message should have. A node that holds less than twice that
    /// lowers it: Redis closes every subscriber's connection for a larger message, and nobody gets it.
    pub max_publish_bytes: usize,
    /// How many shards hold local clients; 0 for a server without clients. Default 0.
    pub shards: usize,
    /// Whether a client may be connected to several servers at once and gets its messages on each: then messages to clients of
    /// this server are published, too. Default no: it costs a publish, and is useless if only one login per client stays.
    pub several_homes: bool,
    /// Bounds of one client's queue.
    pub outbox: OutboxLimits,
    /// What happens to frames of an event that a slow client cannot take. Default: they wait, and a client that has too much waiting
    /// is disconnected.
    pub delivery: Delivery,
    /// Who is told what happens to this server's clients, as it happens. Default: nobody.
    pub observer: Option<Arc<dyn ClientObserver>>,
    /// Settings of the service itself that should be the same on every server that has them: differences are reported, see
    /// [`Adapter::differences`](crate::Adapter::differences). Default: none.
    pub common_settings: BTreeMap<String, String>,
    /// Whether this server only looks at the others and leaves. It is not counted by them, so it cannot keep them from a node that
    /// it does not hear, and tells them neither settings nor nodes. It publishes as soon as it hears one node. Default no.
    pub visiting: bool,
    /// What this server tells about itself when it is asked for its totals. Default: nothing;
    /// [`Adapter::add_report`](crate::Adapter::add_report) adds more.
    pub reports: Reports,
    /// Where the adapter's metrics are registered. Default: a registry of its own.
    pub registry: Registry,
}

impl Options {
    /// The defaults for a server of this name and service.
    pub fn new(name: ServerName, service: ServiceName) -> Self {
        Self {
            name,
            service,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bus: Bus::Alone,
            first_nodes: None,
            prefix: "wsmesh:".to_owned(),
            cluster_id: ClusterId::default(),
            routing: Routing::Direct,
            compress_above: None,
            encoding: Encoding::default(),
            strategy: Strategy::default(),
            probe_interval: Duration::from_secs(1),
            command_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(4),
            unsubscribe_delay: Duration::from_secs(5),
            preset_rooms: Vec::new(),
            replay_window: Duration::from_secs(6),
            replay_bytes: 64 * 1024 * 1024,
            max_publish_bytes: 8 * 1024 * 1024,
            shards: 0,
            several_homes: false,
            outbox: OutboxLimits::default(),
            delivery: Delivery::default(),
            observer: None,
            common_settings: BTreeMap::new(),
            visiting: false,
            reports: Reports::default(),
            registry: Registry::new(),
        }
    }
}

impl Options {
    /// Checks that the options do not contradict each other.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if let Some(problem) = self.routing.problem(&self.prefix) {
            return Err(StartError::Routing(problem));
        }
        if self.routing != Routing::Direct && self.compress_above.is_some() {
            let problem = "servers of the JavaScript package cannot read compressed messages: leave compress_above out, or use direct routing";
            return Err(StartError::Routing(problem.to_owned()));
        }
        Ok(())
    }

    /// How long published messages are kept: the promised window, and the time that noticing a silent node takes.
    pub(crate) fn kept_for(&self) -> Duration {
        self.replay_window + self.probe_interval * SILENT_INTERVALS
    }

    /// How long after its publishing a message that could not be sent is tried again.
    pub(crate) fn copies_for(&self) -> Duration {
        self.mark_age() / 2
    }

    /// Older messages are never published again.
    pub(crate) fn mark_age(&self) -> Duration {
        self.kept_for() * 4
    }
}
