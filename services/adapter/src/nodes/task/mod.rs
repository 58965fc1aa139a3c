//! The life of one node: connect, subscribe to everything wanted, hand over what arrives, probe, connect again.
//!
//! Two halves run side by side and never wait for each other: the subscriber, which does nothing but read and hand over,
//! and the publisher, which probes. When the publisher's connection ends, what went through it lately is queued to be
//! published again elsewhere. Every call has a time limit. Ends when its token is cancelled.

mod backoff;
mod listening;
mod probing;
mod refused;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::listening::subscribe;
use self::probing::publish;
use self::refused::{Refusals, forbidden};
use super::NodeStatus;
use super::copies::Copies;
use super::health::Health;
use super::interest::Interest;
use super::largest::Largest;
use super::link::{Channel, Endpoint, LinkError, LinkErrorKind, Publisher, Publishing, limited};
use super::replay::Window;
use crate::wire::NodeId;

/// What a subscriber read at once: channel and payload.
pub(crate) type Batch = Vec<(Bytes, Bytes)>;

/// One node, as the rest of the adapter sees it.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Its bit in sets of nodes. Given to another node only after this one's task has ended.
    pub(crate) index: usize,
    pub(crate) health: Health,
    /// Cancelled when the node is no longer to be used.
    pub(crate) stop: CancellationToken,
    endpoint: Arc<dyn Endpoint>,
    publisher: RwLock<Option<Arc<dyn Publisher>>>,
    /// Somebody saw a publish fail: look at the connection now.
    suspect: Notify,
    /// The subscriber heard no probe for too long: the publisher's connection is not to be trusted either.
    silent: Notify,
    refusals: Refusals,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

/// What a node's task needs from its surroundings.
pub(crate) struct Surroundings {
    pub(crate) interest: Arc<Interest>,
    pub(crate) window: Arc<Window>,
    pub(crate) copies: Arc<Copies>,
    pub(crate) largest: Arc<Largest>,
    /// Where messages go. Bounded: when full the subscriber stops reading, and Redis holds the rest.
    pub(crate) inbound: mpsc::Sender<(Arc<Node>, Batch)>,
    /// Woken when hearing or a status changed.
    pub(crate) changed: Arc<Notify>,
    /// Wakes everyone who waits for a node to be heard.
    pub(crate) heard: Arc<Notify>,
    /// Whether this server hears no node: then each is connected to again without much waiting.
    pub(crate) deaf: watch::Receiver<bool>,
    pub(crate) probe_channel: Channel,
    pub(crate) command_timeout: Duration,
    pub(crate) probe_interval: Duration,
}

impl Node {
    pub(crate) fn new(id: NodeId, index: usize, endpoint: Arc<dyn Endpoint>, health: Health) -> Self {
        Self {
            id,
            index,
            health,
            stop: CancellationToken::new(),
            endpoint,
            publisher: RwLock::default(),
            suspect: Notify::new(),
            silent: Notify::new(),
            refusals: Refusals::default(),
        }
    }

    /// Publishes through this node; the count of receivers. A failure makes the task look at the connection at once. `limit`
    /// is for connections that have no time limit of their own.
    pub(crate) async fn publish(&self, channel: &Channel, payload: Bytes, limit: Duration) -> Result<u64, LinkError> {
        let result = self
            .hand_over(|publisher| publisher.publish(channel, payload))
            .within(limit)
            .await;
        self.judged(channel, result)
    }

    /// As [`Node::publish`], for what is not worth waiting for as long as a command may take.
    pub(crate) async fn publish_soon(
        &self,
        channel: &Channel,
        payload: Bytes,
        limit: Duration,
    ) -> Result<u64, LinkError> {
        let result = limited(limit, self.hand_over(|publisher| publisher.publish(channel, payload))).await;
        self.judged(channel, result)
    }

    /// As [`Node::publish`], past all that waits already.
    async fn probe(&self, channel: &Channel, payload: Bytes, limit: Duration) -> Result<u64, LinkError> {
        let result = self.hand_over(|publisher| publisher.probe(channel, payload));
        match result.within(limit).await {
            Err(error) if error.kind == LinkErrorKind::Forbidden => Err(forbidden(channel)),
            result => result,
        }
    }

    fn hand_over(&self, publish: impl FnOnce(&dyn Publisher) -> Publishing) -> Publishing {
        let publisher = self.publisher.read();
        match &*publisher {
            Some(publisher) => publish(&**publisher),
            None => Publishing::failed(LinkError::new(LinkErrorKind::Closed, "not connected")),
        }
    }

    /// What a publish came to, for whoever waits; a failure that says something of the connection is looked into.
    fn judged(&self, channel: &Channel, result: Result<u64, LinkError>) -> Result<u64, LinkError> {
        match result {
            Err(error) if error.kind == LinkErrorKind::Forbidden => {
                self.refusals.tell(&self.id, channel);
                Err(forbidden(channel))
            }
            Err(error) => {
                if error.kind != LinkErrorKind::Full {
                    self.suspect.notify_one();
                }
                Err(error)
            }
            Ok(receivers) => Ok(receivers),
        }
    }

    /// Probes now: somebody has a reason to doubt what the clock says. Whether a probe can come back at all.
    pub(crate) fn probe_now(&self) -> bool {
        let can = self.health.can_probe();
        if can {
            self.suspect.notify_one();
        }
        can
    }

    pub(crate) fn status(&self, now: Instant) -> NodeStatus {
        let heard = self.health.heard(now);
        NodeStatus {
            id: self.id.clone(),
            address: self.endpoint.address(),
            heard,
            rtt_ms: self
                .health
                .rtt()
                .filter(|_| heard)
                .map(|rtt| rtt.as_secs_f64() * 1000.0),
            error: if heard { None } else { self.health.error() },
            reconnects: self.health.reconnects(),
            gaps: self.health.gaps(),
        }
    }

    fn set_publisher(&self, publisher: Option<Arc<dyn Publisher>>) {
        let up = publisher.is_some();
        *self.publisher.write() = publisher;
        self.health.publishing(up, Instant::now());
    }

    fn report(&self, half: &str, error: &LinkError) {
        if self.health.failed(error.kind, error.to_string()) {
            tracing::warn!(node = %self.id, "node unusable ({half}): {error}; trying again");
        }
    }
}

/// Closes a node's connection for publishing, also when its task is dropped before its end.
struct Unpublish<'a>(&'a Node);

impl Drop for Unpublish<'_> {
    fn drop(&mut self) {
        self.0.set_publisher(None);
    }
}

/// Runs a node until it is told to stop.
pub(crate) async fn run(node: Arc<Node>, around: Surroundings) {
    let publishing = Unpublish(&node);
    let halves = async { tokio::join!(subscribe(&node, &around), publish(&node, &around)) };
    tokio::select! {
        () = node.stop.cancelled() => {}
        _ = halves => {}
    }
    drop(publishing);
    node.health.subscribed(false, Instant::now());
    around.interest.disconnected(node.index);
    around.largest.note(node.index, None);
}
