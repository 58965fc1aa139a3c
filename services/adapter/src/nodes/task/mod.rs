//! The task of one node: connects, subscribes to all channels, hands over what arrives, probes, and reconnects.
//!
//! Two halves run in parallel and never wait for each other: the subscriber, which only reads and hands over, and the
//! publisher, which probes. When the publisher's connection ends, messages that recently went through it are queued to
//! be published again through other nodes. Every call has a time limit. The task ends when its token is cancelled.

mod acl;
mod backoff;
mod listening;
mod probing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::acl::{MissingRules, forbidden};
use self::backoff::Backoff;
use self::listening::subscribe;
use self::probing::publish;
use super::NodeStatus;
use super::copies::Copies;
use super::endpoint::Endpoint;
use super::health::Health;
use super::interest::Interest;
use super::largest::Largest;
use super::link::{Channel, LinkError, LinkErrorKind, Publisher, Publishing, SubscriberNumber, limited};
use super::replay::Window;
use super::runs_in_use::RunsInUse;
use crate::wire::{NodeId, RunId};

/// A node that was never heard for this long is probably a mistake, not one that is starting.
const LONG: Duration = Duration::from_secs(60);

/// Messages that a subscriber read at once: channel and payload.
pub(crate) type Batch = Vec<(Bytes, Bytes)>;

/// One node, as the rest of the adapter sees it.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// Its bit in sets of nodes. Reused for another node only after this one's task has ended.
    pub(crate) index: usize,
    pub(crate) health: Health,
    /// Cancelled when the node must no longer be used.
    pub(crate) stop: CancellationToken,
    endpoint: Arc<dyn Endpoint>,
    publisher: RwLock<Option<Arc<dyn Publisher>>>,
    /// Notified when a publish failed: the connection must be checked now.
    suspect: Notify,
    /// Notified when the subscriber received no probe for too long: then the publisher's connection is not trusted
    /// either.
    silent: Notify,
    missing_rules: MissingRules,
    /// What the node calls this server's subscribing connection; 0 while it is not known.
    subscriber: AtomicU64,
    /// The run of Redis that the last subscribing connection led to, if the node said so.
    run: RwLock<Option<RunId>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

/// The parts of the adapter that a node's task needs.
pub(crate) struct Environment {
    pub(crate) interest: Arc<Interest>,
    pub(crate) window: Arc<Window>,
    pub(crate) copies: Arc<Copies>,
    pub(crate) largest: Arc<Largest>,
    pub(crate) runs: Arc<RunsInUse>,
    /// Called when a link leads to another Redis than before, and before the node is heard: who shares the node with this server has
    /// to be judged again.
    pub(crate) led_elsewhere: Arc<dyn Fn() + Send + Sync>,
    /// Receives the messages. Bounded: when it is full, the subscriber stops reading and Redis buffers the rest.
    pub(crate) inbound: mpsc::Sender<(Arc<Node>, Batch)>,
    /// Notified when hearing or a status changed.
    pub(crate) changed: Arc<Notify>,
    /// Wakes everything that waits for a node to be heard.
    pub(crate) heard: Arc<Notify>,
    /// Whether this server hears no node: then nodes are reconnected without long waits.
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
            missing_rules: MissingRules::default(),
            subscriber: AtomicU64::new(0),
            run: RwLock::default(),
        }
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> &dyn Endpoint {
        &*self.endpoint
    }

    /// What the node calls this server's subscribing connection, if there is one and the node said so.
    pub(crate) fn subscriber(&self) -> Option<SubscriberNumber> {
        Some(self.subscriber.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }

    fn note_subscriber(&self, number: Option<SubscriberNumber>) {
        self.subscriber.store(number.unwrap_or(0), Ordering::Relaxed);
    }

    /// The run of Redis that this server's last subscribing connection led to, if the node said so.
    fn run(&self) -> Option<RunId> {
        self.run.read().clone()
    }

    /// Whether the two connections lead to different Redis: then no probe can return.
    fn is_split(&self) -> bool {
        let publishing = self.publisher.read().as_ref().and_then(|publisher| publisher.run());
        publishing.is_some_and(|run| self.run().is_some_and(|other| other != run))
    }

    /// Why no probe returns.
    fn silence(&self) -> LinkError {
        if self.is_split() {
            let text = format!(
                "{} leads to two different Redis, one for each connection of this server: let it lead to one",
                self.endpoint.address()
            );
            return LinkError::new(LinkErrorKind::Identity, text);
        }
        LinkError::new(LinkErrorKind::TimedOut, "silent for three probe intervals")
    }

    /// Publishes through this node, and returns the number of receivers. After a failure, the task checks the
    /// connection at once. `limit` applies to connections that have no time limit of their own.
    pub(crate) async fn publish(&self, channel: &Channel, payload: Bytes, limit: Duration) -> Result<u64, LinkError> {
        let result = self
            .hand_over(|publisher| publisher.publish(channel, payload))
            .within(limit)
            .await;
        self.judged(channel, result)
    }

    /// As [`Node::publish`], but waits at most for `limit`, which may be shorter than the time limit of a command.
    pub(crate) async fn publish_soon(
        &self,
        channel: &Channel,
        payload: Bytes,
        limit: Duration,
    ) -> Result<u64, LinkError> {
        let result = limited(limit, self.hand_over(|publisher| publisher.publish(channel, payload))).await;
        self.judged(channel, result)
    }

    /// As [`Node::publish`], but never rejected because too much waits.
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

    /// Prepares the result of a publish for the caller. A failure that may be the connection's fault makes the task
    /// check it.
    fn judged(&self, channel: &Channel, result: Result<u64, LinkError>) -> Result<u64, LinkError> {
        match result {
            Err(error) if error.kind == LinkErrorKind::Forbidden => {
                self.missing_rules.report(&self.id, channel);
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

    /// Probes now instead of at the next interval. Returns whether a probe can return at all.
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
            error: if heard { None } else { self.trouble(now) },
            reconnects: self.health.reconnects(),
            gaps: self.health.gaps(),
        }
    }

    /// Why the node is not heard.
    fn trouble(&self, now: Instant) -> Option<String> {
        let error = self.health.error()?;
        Some(match self.health.never_heard_for(now) >= Some(LONG) {
            true => format!("{error}; it was never heard since this server knows it: if it will not come, remove it"),
            false => error,
        })
    }

    fn set_publisher(&self, publisher: Option<Arc<dyn Publisher>>) {
        let up = publisher.is_some();
        *self.publisher.write() = publisher;
        self.health.publishing(up, Instant::now());
    }

    fn report(&self, half: &str, error: &LinkError) {
        if self.health.failed(error.kind, error.to_string()) {
            tracing::warn!(node = %self.id, "cannot use Redis node ({half}): {error}; retrying: check that it runs, its address and its login");
        }
    }
}

/// Closes a node's publishing connection when dropped, so also when the task is dropped early.
struct Unpublish<'a>(&'a Node);

impl Drop for Unpublish<'_> {
    fn drop(&mut self) {
        self.0.set_publisher(None);
    }
}

/// Runs a node until its token is cancelled.
pub(crate) async fn run(node: Arc<Node>, env: Environment) {
    let publishing = Unpublish(&node);
    let halves = async { tokio::join!(subscribe(&node, &env), publish(&node, &env)) };
    tokio::select! {
        () = node.stop.cancelled() => {}
        _ = halves => {}
    }
    drop(publishing);
    node.health.subscribed(false, Instant::now());
    env.interest.disconnected(node.index);
    env.largest.note(node.index, None);
    node.note_subscriber(None);
    env.runs.note(&node.id, node.index, None);
}
