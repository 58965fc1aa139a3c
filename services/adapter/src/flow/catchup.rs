//! Catching up: messages that others may have missed are published again, paced, so that a replay can never start a storm.
//!
//! Copies wait in `nodes/replay` and are taken from there by one task. A server that is owed something (see `cluster/debts`) is
//! asked first what it wants: only that is sent, and to it alone, on its own topic.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::Owed;
use crate::error::PublishError;
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::requests::ServerRequests;
use crate::flow::ask::target::Target;
use crate::flow::inward::wanted::{WANTED, Wanted};
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::route::Unsent;
use crate::flow::state::choices::CurrentChoices;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::hearing::Hearing;
use crate::flow::state::lapse::LapseReason;
use crate::flow::state::lapses::Lapses;
use crate::flow::state::members::Members;
use crate::flow::state::tasks::Tasks;
use crate::metrics::Metrics;
use crate::nodes::{Kept, Mask, RETIRED};
use crate::options::Options;
use crate::wire::{Channels, Instance, Payload, ServerName};

/// Copies, and bytes of copies, that are under way at once: Redis disconnects a subscriber that has too much waiting.
const BATCH: (usize, usize) = (64, 64 * 1024);
/// Most copies, and bytes of copies, per second: a fraction of what a node carries, so that live messages are not held up.
const PACE: (f64, f64) = (20_000.0, 16e6);
/// How long copies that found no node wait before they are tried again.
const RETRY: Duration = Duration::from_millis(250);
/// A copy with more bytes than this may have ended its receiver's connection.
const SUSPECT: usize = 64 * 1024;
/// How often a server is asked what it wants before its next beacon is waited for.
const TRIES: usize = 4;
/// Longest wait for a server's answer to [`WANTED`].
const ANSWER: Duration = Duration::from_secs(2);

/// Sends messages again to the servers that may have missed them.
#[derive(Debug)]
pub(crate) struct CatchUp {
    options: Arc<Options>,
    channels: Arc<Channels>,
    choices: Arc<CurrentChoices>,
    hearing: Arc<Hearing>,
    members: Arc<Members>,
    lapses: Arc<Lapses>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    outbound: Arc<Outbound>,
    requests: Arc<ServerRequests>,
}

impl CatchUp {
    pub(crate) fn new(foundation: &Foundation, outbound: Arc<Outbound>, requests: Arc<ServerRequests>) -> Self {
        let on = foundation.clone();
        Self {
            options: on.options,
            channels: on.channels,
            choices: on.choices,
            hearing: on.hearing,
            members: on.members,
            lapses: on.lapses,
            metrics: on.metrics,
            tasks: on.tasks,
            outbound,
            requests,
        }
    }

    /// Publishes waiting copies again, until it is stopped.
    pub(crate) async fn run(&self) {
        let (copies, waiting) = (self.outbound.copies(), self.outbound.outage().waiting());
        loop {
            if let Some(missing) = copies.take_truncated() {
                self.lapses.report_once(LapseReason::WindowTooSmall, missing);
            }
            if waiting.closed_since().is_some() {
                // While messages wait for a node, no server would get the copies.
                let _ = timeout(RETRY, waiting.opened.notified()).await;
                continue;
            }
            let batch = copies.take(BATCH.0, BATCH.1);
            if batch.is_empty() {
                copies.waiting.notified().await;
                continue;
            }
            let (count, bytes) = (batch.len(), batch.iter().map(|copy| copy.bytes.len()).sum::<usize>());
            let results = join_all(batch.into_iter().map(|copy| self.publish_copy(copy))).await;
            let unsent: Vec<Kept> = results.into_iter().flatten().collect();
            let stuck = unsent.len() == count;
            copies.extend(unsent);
            if stuck {
                let _ = timeout(RETRY, self.hearing.heard().notified()).await;
            } else {
                let pause = (count as f64 / PACE.0).max(bytes as f64 / PACE.1);
                sleep(Duration::from_secs_f64(pause)).await;
            }
        }
    }

    /// Publishes one copy; returns it if no node can take it now.
    async fn publish_copy(&self, copy: Kept) -> Option<Kept> {
        let now = Instant::now();
        let age = now.saturating_duration_since(copy.at);
        if age > self.options.copies_for() {
            self.metrics.sending.replayed.with_label_values(&["expired"]).inc();
            // A server that left for good needs nothing; and a copy of a copy was only to go out once more.
            let gone = copy
                .server
                .as_ref()
                .is_some_and(|server| self.members.roster().instance_of(server).is_none());
            if !gone && !copy.was_copied {
                self.lapses.report_once(LapseReason::Expired, age);
            }
            return None;
        }
        if self.channels.is_shared() && copy.server.is_none() {
            // Servers of the JavaScript package would not drop a copy: each of ours gets its own.
            let servers: Vec<_> = self
                .members
                .roster()
                .iter()
                .map(|(beacon, _)| beacon.name.clone())
                .collect();
            self.outbound.copies().extend(servers.into_iter().map(|server| Kept {
                server: Some(server),
                ..copy.clone()
            }));
            return None;
        }
        let copy = match &copy.server {
            Some(server) => Kept {
                channel: self.channels.own(server),
                ..copy
            },
            None => copy,
        };
        match self.outbound.router().route(&copy).await {
            Ok(_) => {
                self.metrics.sending.replayed.with_label_values(&["ok"]).inc();
                None
            }
            Err(Unsent {
                error: PublishError::Payload(_) | PublishError::Target(_),
                ..
            }) => None,
            Err(_) => Some(copy),
        }
    }

    /// Serves a server what it is owed, if it is owed something and a node is heard by both.
    pub(crate) fn serve(self: &Arc<Self>, name: &ServerName, instance: Instance) {
        let choices = self.choices.load();
        if choices.with_server(name, choices.usable(Instant::now())) == 0 || !self.members.is_counted() {
            return;
        }
        let Some((owed, since)) = self.outbound.debts().begin(name, instance) else {
            return;
        };
        let published_since = self.members.counted_since().unwrap_or(since);
        let owing = since.max(published_since).elapsed();
        if owing > self.options.kept_for() {
            // Messages from the beginning of that time are not in the window any more.
            self.lapses.report_once(LapseReason::Expired, owing);
        }
        let (catch_up, name) = (self.clone(), name.clone());
        let task = async move {
            let serving = catch_up.serve_patiently(&name, owed.clone());
            let stop = catch_up.tasks.stop();
            let unserved = stop.run_until_cancelled(serving).await.unwrap_or(Some(owed));
            let failed = unserved.is_some();
            let unserved = unserved.map(|owed| (owed, since));
            catch_up.outbound.debts().end(&name, instance, unserved);
            if !failed {
                // It may be owed more by now.
                catch_up.serve(&name, instance);
            }
        };
        self.tasks.spawn(task);
    }

    /// Tries some times. A debt that could not be served then waits for the server's next beacon.
    async fn serve_patiently(&self, name: &ServerName, mut owed: Owed) -> Option<Owed> {
        for _ in 0..TRIES {
            owed = self.serve_now(name, owed).await?;
            sleep(RETRY).await;
        }
        Some(owed)
    }

    /// Returns the debt if it could not be served.
    async fn serve_now(&self, name: &ServerName, owed: Owed) -> Option<Owed> {
        let nodes = self.owed_nodes(&owed);
        if !self.outbound.window().any(nodes, Instant::now()) {
            tracing::debug!(peer = %name, "the window holds no message that is owed to a server");
            return None;
        }
        let asked = Instant::now();
        match self.ask(name).await {
            Ok(wanted) => {
                self.send_wanted(name, nodes, &wanted, asked);
                None
            }
            Err(why) => {
                tracing::debug!(peer = %name, "cannot learn what a server wants: {why}");
                Some(owed)
            }
        }
    }

    /// Asks a server what it wants.
    async fn ask(&self, name: &ServerName) -> Result<Wanted, String> {
        let options = RequestOptions {
            timeout: Some(ANSWER),
            ..RequestOptions::default()
        };
        let target = Target::Server(name.clone());
        let asking = self.requests.call(target, WANTED, Payload::null(), options, None);
        let reply = asking.await.map_err(|error| error.to_string())?;
        reply.payload.parse().map_err(|error| error.to_string())
    }

    /// Queues copies of what a server wants.
    fn send_wanted(&self, name: &ServerName, nodes: Mask, wanted: &Wanted, asked: Instant) {
        let now = Instant::now();
        // At most: its answer may have taken a while.
        let age = wanted.age() + asked.elapsed();
        if let Some(missing) = self.outbound.window().truncated(now).filter(|missing| *missing < age) {
            self.lapses.report_once(LapseReason::WindowTooSmall, missing);
        }
        let suspects = self.outbound.window().copied_to(name, nodes, SUSPECT);
        if !suspects.is_empty() {
            self.give_up_on(name, suspects.len());
        }
        let matching = self.outbound.window().matching(nodes, age, now, |kept| {
            kept.server.as_ref().is_none_or(|server| server == name)
                && wanted.contains(&kept.channel)
                && !suspects.contains(&kept.sequence)
        });
        let channel = self.channels.own(name);
        let copies = self.outbound.copies().extend(matching.into_iter().map(|kept| Kept {
            channel: channel.clone(),
            server: Some(name.clone()),
            ..kept
        }));
        if copies > 0 {
            tracing::debug!(peer = %name, copies, "a server may have missed messages: they are sent to it again");
        } else {
            tracing::debug!(peer = %name, "a server wants none of the messages that it may have missed");
        }
    }

    /// These large copies were on their way when their receiver's connection ended: a third try would end the next one.
    fn give_up_on(&self, name: &ServerName, copies: usize) {
        self.metrics
            .sending
            .replayed
            .with_label_values(&["given-up"])
            .inc_by(copies as u64);
        tracing::error!(
            peer = %name,
            copies,
            "a connection ended when copies of large messages came through it: they are not sent again; is \
             client-output-buffer-limit pubsub of the Redis nodes below twice --max-publish-bytes?"
        );
    }

    fn owed_nodes(&self, owed: &Owed) -> Mask {
        let choices = self.choices.load();
        match owed {
            Owed::Everything => Mask::MAX,
            Owed::Nodes(ids) => {
                let bit = |id| choices.nodes.index_of(id).map_or(RETIRED, |index| 1 << index);
                ids.iter().fold(0, |mask, id| mask | bit(id))
            }
        }
    }
}
