//! The subscribing half of a node's life: it asks for what is wanted, reads, and hands over.
//!
//! What is wanted is asked for in batches, and not too much before it is answered. A batch that is refused is halved until the
//! channels are found that Redis's ACL refuses: they are asked for again later, each by itself, and nobody waits for them. A
//! connection on which nothing comes back for three probe intervals is given up, and with it the publisher's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::refused::{ASK_AGAIN, forbidden};
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
    /// To be asked for before that, in these batches: one of their channels is refused.
    doubtful: VecDeque<Vec<Wish>>,
    /// In the order of asking, which is the order of answering.
    queue: VecDeque<Wish>,
    /// How many of the queue each command asked for, and waits for.
    commands: VecDeque<usize>,
    /// What is refused, and when it is asked for again.
    refused: Vec<Wish>,
    ask_again: Instant,
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
        doubtful: VecDeque::new(),
        queue: VecDeque::new(),
        commands: VecDeque::new(),
        refused: Vec::new(),
        ask_again: Instant::now(),
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
                Ok(arrivals) => {
                    if let Err(error) = take(node, around, arrivals, &mut asked).await {
                        return error;
                    }
                }
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
                asked.ask_again(around, now);
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
    while asked.queue.len() < UNANSWERED {
        let batch = asked.next_batch();
        let Some(first) = batch.first() else { break };
        let subscribing = first.is_subscribe();
        if asked.queue.is_empty() {
            asked.last = Instant::now();
        }
        let channels: Vec<Channel> = batch.iter().map(|wish| wish.channel().clone()).collect();
        asked.commands.push_back(batch.len());
        asked.queue.extend(batch);
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

/// Fails when the node cannot be used at all.
async fn take(
    node: &Arc<Node>,
    around: &Surroundings,
    arrivals: Vec<Arrival>,
    asked: &mut Asked,
) -> Result<(), LinkError> {
    let now = Instant::now();
    asked.last = now;
    let mut batch = Batch::new();
    let mut usable = Ok(());
    for arrival in arrivals {
        match arrival {
            Arrival::Message { channel, payload } if channel == around.probe_channel.as_bytes() => {
                if let Some(number) = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok()) {
                    returned(node, around, number, now);
                }
            }
            Arrival::Message { channel, payload } => batch.push((channel, payload)),
            Arrival::Confirmed => answered(node, around, asked),
            Arrival::Refused => usable = usable.and(refused(node, around, asked)),
        }
    }
    if !batch.is_empty() {
        // Fails only when the adapter ends.
        let _ = around.inbound.send((node.clone(), batch)).await;
    }
    usable
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
    if let Some(missing) = asked.commands.front_mut() {
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            asked.commands.pop_front();
        }
    }
    if let Wish::Subscribe(channel, generation) = wish
        && around.interest.confirm(node.index, asked.epoch, &channel, generation)
    {
        // The last one that was missing: the node is heard now, if its probes return.
        around.changed.notify_one();
        around.heard.notify_waiters();
    }
    catch_up(node, asked);
}

/// One answer less is missing of those for what was wanted when the connection was made.
fn catch_up(node: &Node, asked: &mut Asked) {
    if asked.catching_up > 0 {
        asked.catching_up -= 1;
        if asked.catching_up == 0 {
            // The first probe goes out as soon as everything is confirmed.
            node.health.subscribed(true, Instant::now());
            node.suspect.notify_one();
        }
    }
}

/// The oldest command was refused, for one of its channels or more. Fails when that is one that this server always needs.
fn refused(node: &Node, around: &Surroundings, asked: &mut Asked) -> Result<(), LinkError> {
    let length = asked.commands.pop_front().unwrap_or(0).min(asked.queue.len());
    let (mut batch, given_up): (Vec<Wish>, Vec<Wish>) = asked
        .queue
        .drain(..length)
        .partition(|wish| around.interest.is_current(wish));
    given_up.iter().for_each(|_| catch_up(node, asked));
    if length > 1 {
        let half = batch.split_off(batch.len() / 2);
        let halves = [batch, half].into_iter().filter(|half| !half.is_empty());
        asked.doubtful.extend(halves);
        return Ok(());
    }
    let Some(wish) = batch.pop() else {
        return Ok(());
    };
    if around.interest.is_needed(wish.channel()) {
        return Err(forbidden(wish.channel()));
    }
    node.refusals.tell(&node.id, wish.channel());
    if let Wish::Subscribe(channel, generation) = &wish
        && around.interest.refuse(node.index, asked.epoch, channel, *generation)
    {
        around.changed.notify_one();
        around.heard.notify_waiters();
    }
    if asked.refused.is_empty() {
        asked.ask_again = Instant::now() + ASK_AGAIN;
    }
    asked.refused.push(wish);
    catch_up(node, asked);
    Ok(())
}

impl Asked {
    /// What the next command asks for; nothing if there is nothing to ask.
    fn next_batch(&mut self) -> Vec<Wish> {
        if let Some(batch) = self.doubtful.pop_front() {
            return batch;
        }
        let subscribing = self.next.front().is_some_and(Wish::is_subscribe);
        let same = |wish: &&Wish| wish.is_subscribe() == subscribing;
        let length = self.next.iter().take(BATCH).take_while(same).count();
        self.next.drain(..length).collect()
    }

    /// What was refused a while ago and is still wanted: its user may have been given a rule.
    fn ask_again(&mut self, around: &Surroundings, now: Instant) {
        if now >= self.ask_again {
            let wanted = self.refused.drain(..).filter(|wish| around.interest.is_current(wish));
            self.doubtful.extend(wanted.map(|wish| vec![wish]));
        }
    }
}

impl Wish {
    fn is_subscribe(&self) -> bool {
        matches!(self, Self::Subscribe(..))
    }

    fn channel(&self) -> &Channel {
        match self {
            Self::Subscribe(channel, _) | Self::Unsubscribe(channel) => channel,
        }
    }
}
