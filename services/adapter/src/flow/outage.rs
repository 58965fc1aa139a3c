//! When no node takes a message: it waits in its place, and goes out when a node is heard.
//!
//! So an outage of all nodes that is shorter than the replay window loses nothing and changes no order: what is published
//! meanwhile waits behind the others, and all of it goes out when the other servers hear a node, too. A message is refused only
//! if no node was heard for longer than the window, or if there is no room. A message that somebody waits for, such as a
//! request, is not sent any more when its time limit is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::api::adapter::Inner;
use crate::error::PublishError;
use crate::flow::outbound::Published;
use crate::flow::waiting::Held;
use crate::life::lapses::LapseReason;
use crate::nodes::Kept;

/// Messages, and bytes of them, that are handed over at once.
const BATCH: (usize, usize) = (256, 256 * 1024);
/// Most bytes per second: more than any server publishes for long, so that nothing waits for ever; and not so much that Redis
/// cuts off a subscriber for whom too much waits.
const PACE: f64 = 50e6;
/// How long messages that no node took wait before they are tried again, unless a node is heard earlier.
const RETRY: Duration = Duration::from_millis(250);

/// How long others may need to hear a node, too, after this server did; then messages go out all the same, and a server that
/// misses them is served later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a message may take a node when it could not take one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// No node is heard, or the connection failed.
    Later,
    /// Nodes are heard and have too much to do.
    Busy,
    /// It was refused for what it is.
    Never,
}

/// Why no node took a message.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: PublishError,
    pub(crate) prospect: Prospect,
}

impl Unsent {
    /// No node is heard.
    pub(crate) fn isolated() -> Self {
        Self {
            error: PublishError::Isolated,
            prospect: Prospect::Later,
        }
    }
}

impl From<PublishError> for Unsent {
    fn from(error: PublishError) -> Self {
        Self {
            error,
            prospect: Prospect::Never,
        }
    }
}

/// Hands over what waits whenever a node is heard, until it is told to stop.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut heard_since = None;
    loop {
        let heard = inner.heard.notified();
        tokio::pin!(heard);
        heard.as_mut().enable();
        inner.give_up_old(Instant::now());
        if !inner.may_go_out(&mut heard_since, Instant::now()) {
            tokio::select! {
                () = heard => {}
                () = inner.waiting.arrived.notified() => {}
                () = sleep(RETRY) => inner.probe_all(),
            }
            continue;
        }
        let batch = inner.waiting.take(BATCH.0, BATCH.1);
        if batch.is_empty() {
            inner.waiting.arrived.notified().await;
            continue;
        }
        let bytes = batch.iter().map(|held| held.message.bytes.len()).sum::<usize>();
        if inner.hand_over_again(batch).await {
            sleep(Duration::from_secs_f64(bytes as f64 / PACE)).await;
        } else {
            inner.probe_all();
            let _ = timeout(RETRY, heard).await;
        }
    }
}

impl Inner {
    /// Lets a message wait for a node. If somebody waits for it, until a node takes it.
    pub(crate) async fn wait_for_node(&self, message: Kept, is_awaited: bool) -> Result<Published, PublishError> {
        let now = Instant::now();
        // After the end nobody sends what waits.
        if self.outage_is_long(now) || self.stop.is_cancelled() {
            self.metrics.unsent.with_label_values(&["isolated"]).inc();
            return Err(PublishError::Isolated);
        }
        let (told, answer) = oneshot::channel();
        if !self.waiting.push(message.clone(), is_awaited.then_some(told)) {
            return Err(self.no_room(now));
        }
        if !is_awaited {
            return Ok(Published::Later);
        }
        match answer.await {
            Ok(Ok(receivers)) => Ok(Published::Now(receivers)),
            Ok(Err(error)) => self.wait_for_common_node(message, is_awaited, error).await,
            // It has waited for too long.
            Err(_) => Err(PublishError::Isolated),
        }
    }

    /// Lets a message for a server that shares no node with this one wait until it does: both may just be finding their nodes
    /// again. One that shares none for longer than the window is out of reach.
    pub(crate) async fn wait_for_common_node(
        &self,
        message: Kept,
        is_awaited: bool,
        error: PublishError,
    ) -> Result<Published, PublishError> {
        let PublishError::NoCommonNode(server) = &error else {
            return Err(error);
        };
        let mut news = self.roster_view.subscribe();
        loop {
            let now = Instant::now();
            let apart = now.saturating_duration_since(self.apart().note(server, now));
            if apart > self.options.replay_window {
                return Err(error);
            }
            if !is_awaited {
                return self.send_as_copy(message, now).map(|()| Published::Later);
            }
            let _ = timeout(RETRY, news.changed()).await;
            match self.route(&message).await {
                Ok(receivers) => return Ok(Published::Now(receivers)),
                Err(unsent) if matches!(unsent.error, PublishError::NoCommonNode(_)) => {}
                Err(unsent) => return Err(unsent.error),
            }
        }
    }

    /// A message goes out later, as a copy, if there is room for it.
    fn send_as_copy(&self, message: Kept, now: Instant) -> Result<(), PublishError> {
        if self.copies.bytes() + message.cost() > self.options.replay_bytes {
            return Err(self.no_room(now));
        }
        self.copies.extend([message]);
        Ok(())
    }

    fn no_room(&self, now: Instant) -> PublishError {
        self.metrics.unsent.with_label_values(&["no-room"]).inc();
        self.lapse_once(LapseReason::WindowTooSmall, self.deaf_for(now));
        PublishError::NoRoom
    }

    /// Forgets who was out of reach and is no longer.
    pub(crate) fn judge_apart(&self, now: Instant) {
        let choices = self.choices.load();
        let mine = choices.usable(now);
        self.apart()
            .retain(|server| mine != 0 && choices.knows(server) && choices.with_server(server, mine) == 0);
    }

    /// For how long this server has heard no node.
    pub(crate) fn deaf_for(&self, now: Instant) -> Duration {
        let heard = self.started + Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(heard)
    }

    /// Whether no node was heard for longer than the window. While a connection stands that is not certain: this process may
    /// have been stopped.
    pub(crate) fn outage_is_long(&self, now: Instant) -> bool {
        let choices = self.choices.load();
        self.deaf_for(now) > self.options.replay_window
            && choices.heard(now) == 0
            && !choices.nodes.iter().any(|node| node.health.can_probe())
    }

    /// After a time without any node, messages go out when the others are known to hear one as well: before that nobody would
    /// get them.
    fn may_go_out(&self, heard_since: &mut Option<Instant>, now: Instant) -> bool {
        let Some(since) = self.waiting.closed_since() else {
            *heard_since = None;
            return true;
        };
        let choices = self.choices.load();
        let mine = choices.usable(now);
        if mine == 0 {
            *heard_since = None;
            return false;
        }
        let heard_since = *heard_since.get_or_insert(now);
        let others_hear = || {
            let roster = self.roster();
            let mut others = roster.iter();
            others.all(|(beacon, last)| last > since && choices.with_server(&beacon.name, mine) != 0)
        };
        let ready = now.saturating_duration_since(heard_since) > PATIENCE || others_hear();
        if ready {
            self.waiting.open();
        }
        ready
    }

    /// Finds out at once whether nodes are there whose connections stand.
    fn probe_all(&self) {
        let choices = self.choices.load();
        choices.nodes.iter().for_each(|node| _ = node.probe_now());
    }

    /// Tries messages again, in order; whether all are settled.
    async fn hand_over_again(&self, batch: Vec<Held>) -> bool {
        let results = join_all(batch.iter().map(|held| self.route(&held.message))).await;
        let mut all = true;
        for (held, result) in batch.into_iter().zip(results) {
            match result {
                Err(unsent) if unsent.prospect != Prospect::Never => {
                    self.waiting.put_back(held);
                    all = false;
                }
                result => self.settle(held, result.map_err(|unsent| unsent.error)),
            }
        }
        all
    }

    /// What was accepted already and is refused now is tried again as a copy, as long as the window lasts: a server that
    /// shares no node with this one, say, may do so in a moment.
    fn settle(&self, held: Held, result: Result<u64, PublishError>) {
        self.waiting.done(&held.message);
        match (held.told, result) {
            // Whoever waited for it may be gone.
            (Some(told), result) => _ = told.send(result),
            (None, Ok(_)) => {}
            // No room is counted, and told as a lapse.
            (None, Err(_)) => _ = self.send_as_copy(held.message, Instant::now()),
        }
    }

    fn give_up_old(&self, now: Instant) {
        for held in self.waiting.take_older(self.options.copies_for(), now) {
            self.metrics.unsent.with_label_values(&["expired"]).inc();
            if held.told.is_none() {
                self.lapse_once(LapseReason::Expired, now.saturating_duration_since(held.message.at));
            }
        }
    }
}
