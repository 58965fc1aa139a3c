//! The subscribing half of a node's task: subscribes to the channels of `Interest`, reads, and hands over messages.
//!
//! Channels are requested in batches, with a bounded number of unanswered requests. A rejected batch is halved until
//! the channels are found that Redis's ACL forbids: they are requested again later, one by one, and joins do not wait
//! for them. A connection on which nothing arrives for three probe intervals is given up, together with the
//! publisher's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::acl::{RETRY_AFTER, forbidden};
use super::{Backoff, Batch, Environment, Node};
use crate::nodes::interest::Wish;
use crate::nodes::link::{Arrival, Channel, LinkError, LinkErrorKind, Subscriber, limited};
use crate::wire::{NodeId, RunId};

/// The most channels in one SUBSCRIBE command: enough to catch up quickly, few enough not to block Redis.
const BATCH: usize = 512;
/// The most subscriptions without an answer at once: Redis disconnects clients with too many pending answers.
const UNANSWERED: usize = 16 * BATCH;

pub(super) async fn subscribe(node: &Arc<Node>, env: &Environment) {
    let mut backoff = Backoff::new(env.deaf.clone());
    let mut first = true;
    loop {
        let error = match connect(node, env).await {
            Ok(subscriber) => {
                if !std::mem::take(&mut first) {
                    node.health.reconnected();
                }
                if env.largest.note(node.index, subscriber.holds()) {
                    let most = env.largest.now();
                    tracing::warn!(
                        node = %node.id,
                        most,
                        "this Redis node has a small buffer for subscribers, which limits the size of messages; raise its \
                         client-output-buffer-limit pubsub"
                    );
                }
                node.note_subscriber(subscriber.number());
                let since = Instant::now();
                let error = listen(node, env, subscriber).await;
                node.note_subscriber(None);
                note_run(node, env, None);
                node.health.subscribed(false, Instant::now());
                node.health.interrupted(Instant::now());
                env.interest.disconnected(node.index);
                env.changed.notify_one();
                backoff.held(since.elapsed());
                error
            }
            Err(error) => error,
        };
        node.report("subscribing", &error);
        backoff.wait().await;
    }
}

/// Opens a connection, unless its Redis is another node already: it would be used as if it were two.
async fn connect(node: &Node, env: &Environment) -> Result<Box<dyn Subscriber>, LinkError> {
    let subscriber = limited(env.command_timeout * 2, node.endpoint.subscriber()).await?;
    let run = subscriber.run();
    if let Some(twin) = run.as_ref().and_then(|run| env.runs.twin(&node.id, run)) {
        return Err(is_twin(&node.id, &twin));
    }
    node.run.write().clone_from(&run);
    note_run(node, env, run);
    Ok(subscriber)
}

fn is_twin(node: &NodeId, twin: &NodeId) -> LinkError {
    let text = format!("{node} is the same Redis as {twin}, by its run id: remove one of them; {twin} is used");
    LinkError::new(LinkErrorKind::Identity, text)
}

/// Notes which Redis the link leads to, if it leads anywhere.
fn note_run(node: &Node, env: &Environment, run: Option<RunId>) {
    if env.runs.note(&node.id, node.index, run) {
        (env.led_elsewhere)();
    }
}

/// The subscriptions of one connection: to be requested, pending, and forbidden.
struct Subscriptions {
    /// To be requested.
    next: VecDeque<Wish>,
    /// To be requested before `next`, in these batches: each contains a forbidden channel.
    doubtful: VecDeque<Vec<Wish>>,
    /// Requested and not answered yet, in the order of the answers.
    pending: VecDeque<Wish>,
    /// For each command, how many entries of `pending` wait for its answers.
    commands: VecDeque<usize>,
    /// Forbidden channels, which are requested again at `retry_at`.
    forbidden: Vec<Wish>,
    retry_at: Instant,
    /// How many answers are missing until everything needed at the time of connecting is answered.
    catching_up: usize,
    epoch: u64,
    last: Instant,
}

async fn listen(node: &Arc<Node>, env: &Environment, mut subscriber: Box<dyn Subscriber>) -> LinkError {
    let (epoch, wanted) = env.interest.connected(node.index);
    let wake = env.interest.wake(node.index);
    let mut subs = Subscriptions {
        catching_up: wanted.len(),
        next: wanted
            .into_iter()
            .map(|(channel, generation)| Wish::Subscribe(channel, generation))
            .collect(),
        doubtful: VecDeque::new(),
        pending: VecDeque::new(),
        commands: VecDeque::new(),
        forbidden: Vec::new(),
        retry_at: Instant::now(),
        epoch,
        last: Instant::now(),
    };
    let mut watch = interval(env.probe_interval);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticked = Instant::now();
    loop {
        if let Err(error) = ask(subscriber.as_mut(), &mut subs, env.command_timeout).await {
            return error;
        }
        tokio::select! {
            biased;
            arrivals = subscriber.next() => match arrivals {
                Ok(arrivals) => {
                    if let Err(error) = take(node, env, arrivals, &mut subs).await {
                        return error;
                    }
                }
                Err(error) => return error,
            },
            () = wake.notified() => subs.next.extend(env.interest.take_wishes(node.index)),
            _ = watch.tick() => {
                let now = Instant::now();
                // A process that was stopped must first read what its connections hold.
                if now.saturating_duration_since(ticked) > env.probe_interval * 2 {
                    subs.last = now;
                    node.health.be_patient(now);
                }
                ticked = now;
                subs.retry_forbidden(env, now);
                // Without a publisher, no probe can return; then other arrivals must show that the connection is alive.
                if let Some(twin) = node.run().and_then(|run| env.runs.twin(&node.id, &run)) {
                    return is_twin(&node.id, &twin);
                }
                let idle = now.saturating_duration_since(subs.last) > node.health.patience();
                let doubtful = !subs.pending.is_empty() || !node.health.can_probe();
                if idle && doubtful || node.health.silent(now) || node.is_split() {
                    node.silent.notify_one();
                    return node.silence();
                }
            }
        }
    }
}

/// Sends the next requests, unless too many are unanswered.
async fn ask(subscriber: &mut dyn Subscriber, subs: &mut Subscriptions, limit: Duration) -> Result<(), LinkError> {
    while subs.pending.len() < UNANSWERED {
        let batch = subs.next_batch();
        let Some(first) = batch.first() else { break };
        let subscribing = first.is_subscribe();
        if subs.pending.is_empty() {
            subs.last = Instant::now();
        }
        let channels: Vec<Channel> = batch.iter().map(|wish| wish.channel().clone()).collect();
        subs.commands.push_back(batch.len());
        subs.pending.extend(batch);
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

/// Handles arrivals. Fails when the node cannot be used.
async fn take(
    node: &Arc<Node>,
    env: &Environment,
    arrivals: Vec<Arrival>,
    subs: &mut Subscriptions,
) -> Result<(), LinkError> {
    let now = Instant::now();
    subs.last = now;
    let mut batch = Batch::new();
    let mut usable = Ok(());
    for arrival in arrivals {
        match arrival {
            Arrival::Message { channel, payload } if channel == env.probe_channel.as_bytes() => {
                if let Some(number) = std::str::from_utf8(&payload).ok().and_then(|text| text.parse().ok()) {
                    returned(node, env, number, now);
                }
            }
            Arrival::Message { channel, payload } => batch.push((channel, payload)),
            Arrival::Confirmed => confirmed(node, env, subs),
            Arrival::Rejected => usable = usable.and(rejected(node, env, subs)),
        }
    }
    if !batch.is_empty() {
        // Fails only when the adapter ends.
        let _ = env.inbound.send((node.clone(), batch)).await;
    }
    usable
}

/// A probe returned.
fn returned(node: &Node, env: &Environment, number: u64, now: Instant) {
    let (before, is_first) = (node.health.heard(now), node.health.rtt().is_none());
    if node.health.probe_returned(number, now) {
        tracing::warn!(node = %node.id, "a probe was lost: requesting missed messages from other servers");
        env.changed.notify_one();
    }
    env.interest.returning(node.index, true);
    if !before && node.health.heard(now) {
        // The first time, the line that this server takes part says it for all nodes, or the one that the node was added.
        match is_first {
            true => tracing::debug!(node = %node.id, "connected to Redis node"),
            false => tracing::info!(node = %node.id, "connected to Redis node again"),
        }
        env.changed.notify_one();
        env.heard.notify_waiters();
    }
}

/// The oldest pending (un)subscription was confirmed.
fn confirmed(node: &Node, env: &Environment, subs: &mut Subscriptions) {
    let Some(wish) = subs.pending.pop_front() else {
        return;
    };
    if let Some(missing) = subs.commands.front_mut() {
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            subs.commands.pop_front();
        }
    }
    if let Wish::Subscribe(channel, generation) = wish
        && env.interest.confirm(node.index, subs.epoch, &channel, generation)
    {
        // That was the last missing one: the node is heard if its probes return.
        env.changed.notify_one();
        env.heard.notify_waiters();
    }
    catch_up(node, subs);
}

/// Counts an answer towards everything needed at the time of connecting.
fn catch_up(node: &Node, subs: &mut Subscriptions) {
    if subs.catching_up > 0 {
        subs.catching_up -= 1;
        if subs.catching_up == 0 {
            // The first probe is sent as soon as everything is confirmed.
            node.health.subscribed(true, Instant::now());
            node.suspect.notify_one();
        }
    }
}

/// The oldest command was rejected, because of at least one of its channels. Fails if that is a channel that this
/// server always needs.
fn rejected(node: &Node, env: &Environment, subs: &mut Subscriptions) -> Result<(), LinkError> {
    let length = subs.commands.pop_front().unwrap_or(0).min(subs.pending.len());
    let (mut batch, given_up): (Vec<Wish>, Vec<Wish>) = subs
        .pending
        .drain(..length)
        .partition(|wish| env.interest.is_current(wish));
    given_up.iter().for_each(|_| catch_up(node, subs));
    if length > 1 {
        let half = batch.split_off(batch.len() / 2);
        let halves = [batch, half].into_iter().filter(|half| !half.is_empty());
        subs.doubtful.extend(halves);
        return Ok(());
    }
    let Some(wish) = batch.pop() else {
        return Ok(());
    };
    if env.interest.is_needed(wish.channel()) {
        return Err(forbidden(wish.channel()));
    }
    node.missing_rules.report(&node.id, wish.channel());
    if let Wish::Subscribe(channel, generation) = &wish
        && env.interest.reject(node.index, subs.epoch, channel, *generation)
    {
        env.changed.notify_one();
        env.heard.notify_waiters();
    }
    if subs.forbidden.is_empty() {
        subs.retry_at = Instant::now() + RETRY_AFTER;
    }
    subs.forbidden.push(wish);
    catch_up(node, subs);
    Ok(())
}

impl Subscriptions {
    /// The channels of the next command; empty if there is nothing to request.
    fn next_batch(&mut self) -> Vec<Wish> {
        if let Some(batch) = self.doubtful.pop_front() {
            return batch;
        }
        let subscribing = self.next.front().is_some_and(Wish::is_subscribe);
        let same = |wish: &&Wish| wish.is_subscribe() == subscribing;
        let length = self.next.iter().take(BATCH).take_while(same).count();
        self.next.drain(..length).collect()
    }

    /// Requests forbidden channels again after a while, if still needed: the user may have been given a rule.
    fn retry_forbidden(&mut self, env: &Environment, now: Instant) {
        if now >= self.retry_at {
            let wanted = self.forbidden.drain(..).filter(|wish| env.interest.is_current(wish));
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
