//! The life of one node: connect, subscribe to everything wanted, hand over what arrives, probe, connect again.
//!
//! Two halves run side by side and never wait for each other: the subscriber, which does nothing but read and hand over,
//! and the publisher, which probes. When the publisher's connection ends, what went through it lately is queued to be
//! published again elsewhere. Every call has a time limit. Ends when its token is cancelled.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use rand::RngExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::NodeStatus;
use super::health::Health;
use super::interest::{Interest, Wish};
use super::link::{Arrival, Channel, Endpoint, LinkError, LinkErrorKind, Publisher, Subscriber};
use super::replay::{Copies, Window};
use crate::wire::NodeId;

/// Channels in one SUBSCRIBE command: large enough to catch up quickly, small enough not to block Redis.
const BATCH: usize = 512;
/// Subscriptions that may wait for their answers at once: Redis cuts off who lets too many wait.
const UNANSWERED: usize = 16 * BATCH;
/// Shortest and longest wait before connecting again; doubled after each failure, with jitter.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

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
    /// Where messages go. Bounded: when full the subscriber stops reading, and Redis holds the rest.
    pub(crate) inbound: mpsc::Sender<(Arc<Node>, Batch)>,
    /// Woken when hearing or a status changed.
    pub(crate) changed: Arc<Notify>,
    /// Wakes everyone who waits for a node to be heard.
    pub(crate) heard: Arc<Notify>,
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
        }
    }

    /// Publishes through this node; the count of receivers. A failure makes the task look at the connection at once.
    pub(crate) async fn publish(&self, channel: &Channel, payload: Bytes, limit: Duration) -> Result<u64, LinkError> {
        let publisher = self.publisher.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(publisher) = publisher else {
            return Err(LinkError::new(LinkErrorKind::Closed, "not connected"));
        };
        let result = limited(limit, publisher.publish(channel, payload)).await;
        if result.is_err() {
            self.suspect.notify_one();
        }
        result
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
        *self.publisher.write().unwrap_or_else(PoisonError::into_inner) = publisher;
        self.health.publishing(up, Instant::now());
    }

    fn report(&self, half: &str, error: &LinkError) {
        if self.health.failed(error.kind, error.to_string()) {
            tracing::warn!(node = %self.id, "node unusable ({half}): {error}; trying again");
        }
    }
}

async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(LinkError::new(LinkErrorKind::TimedOut, "no answer in time")))
}

/// Runs a node until it is told to stop.
pub(crate) async fn run(node: Arc<Node>, around: Surroundings) {
    let halves = async { tokio::join!(subscribe(&node, &around), publish(&node, &around)) };
    tokio::select! {
        () = node.stop.cancelled() => {}
        _ = halves => {}
    }
    node.set_publisher(None);
    node.health.subscribed(false, Instant::now());
    around.interest.disconnected(node.index);
}

/// Waits before the next try, longer each time.
struct Backoff(Duration);

impl Backoff {
    fn new() -> Self {
        Self(BACKOFF.0)
    }

    async fn wait(&mut self) {
        let jitter = rand::rng().random_range(0.5..1.0);
        sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(BACKOFF.1);
    }
}

// ------------------------------------------------------------------------------------------------ the subscribing half

async fn subscribe(node: &Arc<Node>, around: &Surroundings) {
    let mut backoff = Backoff::new();
    let mut first = true;
    loop {
        let error = match limited(around.command_timeout * 2, node.endpoint.subscriber()).await {
            Ok(subscriber) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                let since = Instant::now();
                let error = listen(node, around, subscriber).await;
                node.health.subscribed(false, Instant::now());
                node.health.interrupted();
                around.interest.disconnected(node.index);
                around.changed.notify_one();
                if since.elapsed() > BACKOFF.1 {
                    backoff = Backoff::new();
                }
                error
            }
            Err(error) => error,
        };
        node.report("subscribing", &error);
        backoff.wait().await;
    }
}

/// What this connection is to ask for, and what it asked for and was not answered yet.
struct Asked {
    /// To be asked for.
    next: VecDeque<Wish>,
    /// In the order of asking, which is the order of answering.
    queue: VecDeque<Wish>,
    /// How many answers are missing until everything wanted at the time of connecting is confirmed.
    catching_up: usize,
    epoch: u64,
    last: Instant,
}

async fn listen(node: &Arc<Node>, around: &Surroundings, mut subscriber: Box<dyn Subscriber>) -> LinkError {
    let (epoch, wanted) = around.interest.connected(node.index);
    let wake = around.interest.wake(node.index);
    let mut asked = Asked {
        catching_up: wanted.len(),
        next: wanted
            .into_iter()
            .map(|(channel, generation)| Wish::Subscribe(channel, generation))
            .collect(),
        queue: VecDeque::new(),
        epoch,
        last: Instant::now(),
    };
    let mut watch = interval(around.probe_interval);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticked = Instant::now();
    loop {
        if let Err(error) = ask(subscriber.as_mut(), &mut asked, around.command_timeout).await {
            return error;
        }
        tokio::select! {
            biased;
            arrivals = subscriber.next() => match arrivals {
                Ok(arrivals) => take(node, around, arrivals, &mut asked).await,
                Err(error) => return error,
            },
            () = wake.notified() => asked.next.extend(around.interest.take_wishes(node.index)),
            _ = watch.tick() => {
                let now = Instant::now();
                // A process that was stopped reads first what its connections hold.
                if now.saturating_duration_since(ticked) > around.probe_interval * 2 {
                    asked.last = now;
                    node.health.be_patient(now);
                }
                ticked = now;
                // Without a publisher no probe can come back, and what else arrives must show that the connection lives.
                let idle = now.saturating_duration_since(asked.last) > node.health.patience();
                let doubtful = !asked.queue.is_empty() || !node.health.can_probe();
                if idle && doubtful || node.health.silent(now) {
                    node.silent.notify_one();
                    return LinkError::new(LinkErrorKind::TimedOut, "silent for three probe intervals");
                }
            }
        }
    }
}

/// Asks for what is next, as long as not too many answers are missing.
async fn ask(subscriber: &mut dyn Subscriber, asked: &mut Asked, limit: Duration) -> Result<(), LinkError> {
    while asked.queue.len() < UNANSWERED
        && let Some(first) = asked.next.front()
    {
        if asked.queue.is_empty() {
            asked.last = Instant::now();
        }
        let subscribing = matches!(first, Wish::Subscribe(..));
        let same = |wish: &&Wish| matches!(wish, Wish::Subscribe(..)) == subscribing;
        let length = asked.next.iter().take(BATCH).take_while(same).count();
        let channels: Vec<Channel> = asked
            .next
            .iter()
            .take(length)
            .map(|wish| wish.channel().clone())
            .collect();
        asked.queue.extend(asked.next.drain(..length));
        let write = async {
            if subscribing {
                subscriber.subscribe(&channels).await
            } else {
                subscriber.unsubscribe(&channels).await
            }
        };
        limited(limit, write).await?;
    }
    Ok(())
}

async fn take(node: &Arc<Node>, around: &Surroundings, arrivals: Vec<Arrival>, asked: &mut Asked) {
    let now = Instant::now();
    asked.last = now;
    let mut batch = Batch::new();
    for arrival in arrivals {
        match arrival {
            Arrival::Message { channel, payload } if channel == around.probe_channel.as_bytes() => {
                if let Some(number) = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok()) {
                    returned(node, around, number, now);
                }
            }
            Arrival::Message { channel, payload } => batch.push((channel, payload)),
            Arrival::Confirmed => answered(node, around, asked),
        }
    }
    if !batch.is_empty() {
        // Fails only when the adapter ends.
        let _ = around.inbound.send((node.clone(), batch)).await;
    }
}

/// A probe came back.
fn returned(node: &Node, around: &Surroundings, number: u64, now: Instant) {
    let before = node.health.heard(now);
    if node.health.probe_returned(number, now) {
        tracing::warn!(node = %node.id, "a probe was lost: others are asked for what was missed");
        around.changed.notify_one();
    }
    around.interest.returning(node.index, true);
    if !before && node.health.heard(now) {
        tracing::info!(node = %node.id, "node heard");
        around.changed.notify_one();
        around.heard.notify_waiters();
    }
}

/// One more (un)subscription was confirmed: the oldest one asked for.
fn answered(node: &Node, around: &Surroundings, asked: &mut Asked) {
    let Some(wish) = asked.queue.pop_front() else {
        return;
    };
    if let Wish::Subscribe(channel, generation) = wish
        && around.interest.confirm(node.index, asked.epoch, &channel, generation)
    {
        // The last one that was missing: the node is heard now, if its probes return.
        around.changed.notify_one();
        around.heard.notify_waiters();
    }
    if asked.catching_up > 0 {
        asked.catching_up -= 1;
        if asked.catching_up == 0 {
            // The first probe goes out as soon as everything is confirmed.
            node.health.subscribed(true, Instant::now());
            node.suspect.notify_one();
        }
    }
}

impl Wish {
    fn channel(&self) -> &Channel {
        match self {
            Self::Subscribe(channel, _) | Self::Unsubscribe(channel) => channel,
        }
    }
}

// ------------------------------------------------------------------------------------------------- the publishing half

async fn publish(node: &Node, around: &Surroundings) {
    let mut backoff = Backoff::new();
    let mut first = true;
    loop {
        let error = match limited(around.command_timeout * 2, node.endpoint.publisher()).await {
            Ok(publisher) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                let since = Instant::now();
                node.set_publisher(Some(publisher));
                let error = probe(node, around).await;
                node.set_publisher(None);
                let copies = around.copies.extend(around.window.take(node.index, Instant::now()));
                if copies > 0 {
                    tracing::info!(node = %node.id, copies, "a connection was lost: what went through it lately is published again");
                }
                around.changed.notify_one();
                if since.elapsed() > BACKOFF.1 {
                    backoff = Backoff::new();
                }
                error
            }
            Err(error) => error,
        };
        node.report("publishing", &error);
        backoff.wait().await;
    }
}

/// Probes once an interval, and at once when somebody has a reason; ends when a probe cannot be published.
async fn probe(node: &Node, around: &Surroundings) -> LinkError {
    let mut tick = interval(around.probe_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = false;
    // What was said of the former connection says nothing of this one.
    let _ = node.silent.notified().now_or_never();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = node.suspect.notified() => {}
            () = node.silent.notified() => {
                return LinkError::new(LinkErrorKind::TimedOut, "silent for three probe intervals");
            }
        }
        let now = Instant::now();
        if std::mem::replace(&mut heard, node.health.heard(now)) != heard {
            around.changed.notify_one();
        }
        if !node.health.can_probe() {
            continue;
        }
        let number = node.health.probe(now).to_string();
        if let Err(error) = node
            .publish(&around.probe_channel, number.into(), around.command_timeout)
            .await
        {
            return error;
        }
    }
}
