//! When no node takes a message: it waits in its place, and goes out when a node is heard.
//!
//! So an outage of all nodes that is shorter than the replay window loses nothing and changes no order: messages published
//! meanwhile wait in line, and all of them go out when the other servers hear a node, too. A message is rejected only if no node
//! was heard for longer than the window, or if there is no room. A message that somebody waits for, such as a request, is not
//! sent any more when its time limit is over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::route::{Prospect, Router};
use super::waiting::{Held, Waiting};
use crate::cluster::Apart;
use crate::error::PublishError;
use crate::flow::state::choices::CurrentChoices;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::hearing::Hearing;
use crate::flow::state::lapse::LapseReason;
use crate::flow::state::lapses::Lapses;
use crate::flow::state::members::Members;
use crate::metrics::Metrics;
use crate::nodes::{Copies, Kept};
use crate::options::Options;

/// Messages, and bytes of them, that are handed over at once.
const BATCH: (usize, usize) = (256, 256 * 1024);
/// Most bytes per second: more than any server publishes for long, so that nothing waits forever; and not so much that Redis
/// disconnects a subscriber that has too much waiting.
const PACE: f64 = 50e6;
/// How long messages that no node took wait before they are tried again, unless a node is heard earlier.
const RETRY: Duration = Duration::from_millis(250);

/// How long others may need to hear a node, too, after this server did. Then messages go out all the same; a server that
/// misses them is served later.
const PATIENCE: Duration = Duration::from_secs(1);

/// The result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// This many servers received it, this one included if it subscribes.
    Now(u64),
    /// It goes out as soon as a node is heard.
    Later,
}

/// What happens to messages that no node takes.
#[derive(Debug)]
pub(crate) struct Outage {
    options: Arc<Options>,
    choices: Arc<CurrentChoices>,
    hearing: Arc<Hearing>,
    members: Arc<Members>,
    router: Arc<Router>,
    waiting: Waiting,
    copies: Arc<Copies>,
    /// Servers that share no node with this one.
    apart: Mutex<Apart>,
    lapses: Arc<Lapses>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Outage {
    pub(crate) fn new(foundation: &Foundation, router: Arc<Router>, copies: Arc<Copies>) -> Self {
        let on = foundation.clone();
        Self {
            waiting: Waiting::new(on.options.replay_bytes),
            options: on.options,
            choices: on.choices,
            hearing: on.hearing,
            members: on.members,
            router,
            copies,
            apart: Mutex::default(),
            lapses: on.lapses,
            metrics: on.metrics,
            stop: on.tasks.stop().clone(),
        }
    }

    /// The messages that wait for a node.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Lets a message wait for a node. An awaited one resolves when a node has taken it.
    pub(crate) async fn wait_for_node(&self, message: Kept, is_awaited: bool) -> Result<Published, PublishError> {
        let now = Instant::now();
        // After the end, waiting messages are not sent any more.
        if self.hearing.outage_is_long(now) || self.stop.is_cancelled() {
            self.metrics.sending.unsent.with_label_values(&["isolated"]).inc();
            return Err(PublishError::Isolated);
        }
        let (result, answer) = oneshot::channel();
        if !self.waiting.push(message.clone(), is_awaited.then_some(result)) {
            return Err(self.no_room(now));
        }
        if !is_awaited {
            return Ok(Published::Later);
        }
        match answer.await {
            Ok(Ok(receivers)) => Ok(Published::Now(receivers)),
            Ok(Err(error)) => self.wait_for_common_node(message, is_awaited, error).await,
            // The message has waited for too long.
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
        let mut news = self.members.view();
        loop {
            let now = Instant::now();
            let apart = now.saturating_duration_since(self.apart.lock().note(server, now));
            if apart > self.options.replay_window {
                return Err(error);
            }
            if !is_awaited {
                return self.send_as_copy(message, now).map(|()| Published::Later);
            }
            let _ = timeout(RETRY, news.changed()).await;
            match self.router.route(&message).await {
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
        self.metrics.sending.unsent.with_label_values(&["no-room"]).inc();
        self.lapses
            .report_once(LapseReason::WindowTooSmall, self.hearing.deaf_for(now));
        PublishError::NoRoom
    }

    /// After a time without any node, news may be that all others hear one again.
    pub(crate) fn look_again(&self) {
        if self.waiting.closed_since().is_some() {
            self.waiting.arrived.notify_one();
        }
    }

    /// Forgets servers that are no longer out of reach.
    pub(crate) fn judge_apart(&self, now: Instant) {
        let choices = self.choices.load();
        let mine = choices.usable(now);
        self.apart
            .lock()
            .retain(|server| mine != 0 && choices.knows(server) && choices.with_server(server, mine) == 0);
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
            let roster = self.members.roster();
            let mut others = roster.iter();
            others.all(|(beacon, last)| last > since && choices.with_server(&beacon.name, mine) != 0)
        };
        let ready = now.saturating_duration_since(heard_since) > PATIENCE || others_hear();
        if ready {
            self.waiting.open();
        }
        ready
    }

    /// Finds out at once whether nodes answer whose connections stand.
    fn probe_all(&self) {
        let choices = self.choices.load();
        choices.nodes.iter().for_each(|node| _ = node.probe_now());
    }

    /// Tries messages again, in order; whether all are settled.
    async fn hand_over_again(&self, batch: Vec<Held>) -> bool {
        let results = join_all(batch.iter().map(|held| self.router.route(&held.message))).await;
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

    /// A message that was accepted before and is rejected now is tried again as a copy, as long as the window lasts: its server
    /// may share a node with this one in a moment.
    fn settle(&self, held: Held, result: Result<u64, PublishError>) {
        self.waiting.done(&held.message);
        match (held.result, result) {
            // The publisher may have stopped waiting.
            (Some(waits), result) => _ = waits.send(result),
            (None, Ok(_)) => {}
            // If there is no room, that is counted, and reported as a lapse.
            (None, Err(_)) => _ = self.send_as_copy(held.message, Instant::now()),
        }
    }

    fn give_up_old(&self, now: Instant) {
        for held in self.waiting.take_older(self.options.copies_for(), now) {
            self.metrics.sending.unsent.with_label_values(&["expired"]).inc();
            if held.result.is_none() {
                self.lapses
                    .report_once(LapseReason::Expired, now.saturating_duration_since(held.message.at));
            }
        }
    }

    /// Sends waiting messages whenever a node is heard, until it is stopped.
    pub(crate) async fn run(&self) {
        let mut heard_since = None;
        loop {
            let heard = self.hearing.heard().notified();
            tokio::pin!(heard);
            heard.as_mut().enable();
            self.give_up_old(Instant::now());
            if !self.may_go_out(&mut heard_since, Instant::now()) {
                tokio::select! {
                    () = heard => {}
                    () = self.waiting.arrived.notified() => {}
                    () = sleep(RETRY) => self.probe_all(),
                }
                continue;
            }
            let batch = self.waiting.take(BATCH.0, BATCH.1);
            if batch.is_empty() {
                self.waiting.arrived.notified().await;
                continue;
            }
            let bytes = batch.iter().map(|held| held.message.bytes.len()).sum::<usize>();
            if self.hand_over_again(batch).await {
                sleep(Duration::from_secs_f64(bytes as f64 / PACE)).await;
            } else {
                self.probe_all();
                let _ = timeout(RETRY, heard).await;
            }
        }
    }
}
