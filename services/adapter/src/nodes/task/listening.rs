//! The subscribing half of a node's life: it asks for what is wanted, reads, and hands over.
//!
//! What is wanted is asked for in batches, and not too much before it is answered. A connection on which nothing comes back
//! for three probe intervals is given up, and with it the publisher's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Backoff, Batch, Node, Surroundings};
use crate::nodes::interest::Wish;
use crate::nodes::link::{Arrival, Channel, LinkError, LinkErrorKind, Subscriber, limited};

/// Channels in one SUBSCRIBE command: large enough to catch up quickly, small enough not to block Redis.
const BATCH: usize = 512;
/// Subscriptions that may wait for their answers at once: Redis cuts off who lets too many wait.
const UNANSWERED: usize = 16 * BATCH;

pub(super) async fn subscribe(node: &Arc<Node>, around: &Surroundings) {
    let mut backoff = Backoff::new(around.deaf.clone());
    let mut first = true;
    loop {
        let error = match limited(around.command_timeout * 2, node.endpoint.subscriber()).await {
            Ok(subscriber) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                if around.largest.note(node.index, subscriber.holds()) {
                    let most = around.largest.now();
                    tracing::warn!(
                        node = %node.id,
                        most,
                        "this Redis holds little for subscribers: messages may have no more bytes than that; raise its \
                         client-output-buffer-limit pubsub"
                    );
                }
                let since = Instant::now();
                let error = listen(node, around, subscriber).await;
                node.health.subscribed(false, Instant::now());
                node.health.interrupted(Instant::now());
                around.interest.disconnected(node.index);
                around.changed.notify_one();
                backoff.held(since.elapsed());
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
