//! Catching up: what others may have missed is published again, paced, so that a replay can never start a storm.
//!
//! Copies wait in `nodes/replay` and are taken from there by one task. Who is owed something (see `cluster/debts`) is asked
//! what it wants first: only that is sent, and to it alone, on its own topic.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::api::adapter::{Adapter, Inner};
use crate::api::requests::RequestOptions;
use crate::cluster::{Owed, Topics};
use crate::error::{Missing, PublishError};
use crate::flow::outage::Unsent;
use crate::flow::targets::Target;
use crate::life::lapses::LapseReason;
use crate::nodes::{Kept, Mask, RETIRED};
use crate::wire::{Instance, Payload, ServerName};

/// The event by which a server is asked what it wants; answered by the adapter itself.
pub(crate) const WANTED: &str = "wsmesh.wanted";

/// Copies, and bytes of copies, that are under way at once: Redis cuts off a subscriber for whom too much waits.
const BATCH: (usize, usize) = (64, 64 * 1024);
/// Most copies, and bytes of copies, per second: a fraction of what a node carries, so that live messages are not held up.
const PACE: (f64, f64) = (20_000.0, 16e6);
/// How long copies that found no node wait before they are tried again.
const RETRY: Duration = Duration::from_millis(250);
/// A copy with more bytes than this can be what ended its receiver's connection.
const SUSPECT: usize = 64 * 1024;
/// How often a server is asked what it wants before its next beacon is waited for.
const TRIES: usize = 4;
/// Longest wait for a server's answer to [`WANTED`].
const ANSWER: Duration = Duration::from_secs(2);

/// What a server wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    topics: Topics,
    /// How long it has lived, in milliseconds: it takes nothing that is older.
    age_ms: u64,
}

/// Publishes waiting copies again, until it is told to stop.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        if let Some(missing) = inner.copies.take_truncated() {
            inner.lapse_once(LapseReason::WindowTooSmall, missing);
        }
        if inner.waiting.closed_since().is_some() {
            // Nobody would get them.
            let _ = timeout(RETRY, inner.waiting.opened.notified()).await;
            continue;
        }
        let copies = inner.copies.take(BATCH.0, BATCH.1);
        if copies.is_empty() {
            inner.copies.waiting.notified().await;
            continue;
        }
        let (count, bytes) = (copies.len(), copies.iter().map(|copy| copy.bytes.len()).sum::<usize>());
        let results = join_all(copies.into_iter().map(|copy| inner.publish_copy(copy))).await;
        let unsent: Vec<Kept> = results.into_iter().flatten().collect();
        let stuck = unsent.len() == count;
        inner.copies.extend(unsent);
        if stuck {
            let _ = timeout(RETRY, inner.heard.notified()).await;
        } else {
            sleep(Duration::from_secs_f64(
                (count as f64 / PACE.0).max(bytes as f64 / PACE.1),
            ))
            .await;
        }
    }
}

impl Inner {
    /// Publishes one copy; gives it back if no node can take it now.
    async fn publish_copy(&self, copy: Kept) -> Option<Kept> {
        let now = Instant::now();
        let age = now.saturating_duration_since(copy.at);
        if age > self.options.copies_for() {
            self.metrics.replayed.with_label_values(&["expired"]).inc();
            // Who left for good needs nothing; and what went out as a copy before was only to go out once more.
            let gone = copy
                .server
                .as_ref()
                .is_some_and(|server| self.roster().instance_of(server).is_none());
            if !gone && !copy.was_copied {
                self.lapse_once(LapseReason::Expired, age);
            }
            return None;
        }
        if self.channels.is_shared() && copy.server.is_none() {
            // Servers of the original would not drop a copy: each of ours gets its own.
            let servers: Vec<_> = self.roster().iter().map(|(beacon, _)| beacon.name.clone()).collect();
            self.copies.extend(servers.into_iter().map(|server| Kept {
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
        match self.route(&copy).await {
            Ok(_) => {
                self.metrics.replayed.with_label_values(&["ok"]).inc();
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
        if choices.with_server(name, choices.usable(Instant::now())) == 0 || !*self.counted.borrow() {
            return;
        }
        let Some((owed, since)) = self.debts().begin(name, instance) else {
            return;
        };
        let published_since = self.counted_at.get().copied().unwrap_or(since);
        let owing = since.max(published_since).elapsed();
        if owing > self.options.kept_for() {
            // What was published at the beginning of that time is not in the window any more.
            self.lapse_once(LapseReason::Expired, owing);
        }
        let (inner, name) = (self.clone(), name.clone());
        let stop = self.stop.clone();
        let task = async move {
            let serving = inner.clone().serve_patiently(name.clone(), owed.clone());
            let unserved = stop.run_until_cancelled(serving).await.unwrap_or(Some(owed));
            let failed = unserved.is_some();
            inner.debts().end(&name, instance, unserved.map(|owed| (owed, since)));
            inner.keep_what_is_owed();
            if !failed {
                // What it was owed meanwhile.
                inner.serve(&name, instance);
            }
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Tries some times at once; what could not be served then, waits for the server's next beacon.
    async fn serve_patiently(self: Arc<Self>, name: ServerName, mut owed: Owed) -> Option<Owed> {
        for _ in 0..TRIES {
            owed = self.clone().serve_now(name.clone(), owed).await?;
            sleep(RETRY).await;
        }
        Some(owed)
    }

    /// What could not be served.
    async fn serve_now(self: Arc<Self>, name: ServerName, owed: Owed) -> Option<Owed> {
        let nodes = self.owed_nodes(&owed);
        if !self.window.any(nodes, Instant::now()) {
            tracing::debug!(server = %name, "a server is owed nothing that is in the window");
            return None;
        }
        let asking = RequestOptions {
            timeout: Some(ANSWER),
            ..RequestOptions::default()
        };
        let adapter = Adapter {
            inner: self.clone(),
            order_key: None,
        };
        let asked = Instant::now();
        let reply = adapter
            .call(Target::Server(name.clone()), WANTED, Payload::null(), asking)
            .await;
        let wanted: Wanted = match reply.map(|reply| reply.payload.parse()) {
            Ok(Ok(wanted)) => wanted,
            Ok(Err(error)) => {
                tracing::debug!(server = %name, "cannot read what a server wants: {error}");
                return Some(owed);
            }
            Err(error) => {
                tracing::debug!(server = %name, "cannot learn what a server wants: {error}");
                return Some(owed);
            }
        };
        let now = Instant::now();
        // At most: its answer may have taken a while.
        let age = Duration::from_millis(wanted.age_ms) + asked.elapsed();
        if let Some(missing) = self.window.truncated(now).filter(|missing| *missing < age) {
            self.lapse_once(LapseReason::WindowTooSmall, missing);
        }
        let suspects = self.window.copied_to(&name, nodes, SUSPECT);
        if !suspects.is_empty() {
            self.give_up_on(&name, suspects.len());
        }
        let matching = self.window.matching(nodes, age, now, |kept| {
            kept.server.as_ref().is_none_or(|server| *server == name)
                && wanted.topics.contains(&kept.channel)
                && !suspects.contains(&kept.sequence)
        });
        let channel = self.channels.own(&name);
        let copies = self.copies.extend(matching.into_iter().map(|kept| Kept {
            channel: channel.clone(),
            server: Some(name.clone()),
            ..kept
        }));
        if copies > 0 {
            tracing::info!(server = %name, copies, "a server may have missed messages: they are sent to it again");
        } else {
            tracing::debug!(server = %name, "a server wants nothing of what it may have missed");
        }
        None
    }

    /// These large copies were on their way when their receiver's connection ended: a third try would end the next one.
    fn give_up_on(&self, name: &ServerName, copies: usize) {
        self.metrics
            .replayed
            .with_label_values(&["given-up"])
            .inc_by(copies as u64);
        tracing::error!(
            server = %name,
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

    /// This server's answer to [`WANTED`].
    pub(crate) fn answer_wanted(&self) -> Result<Payload, Missing> {
        let wanted = Wanted {
            topics: Topics::new(&self.interest.channels()),
            age_ms: self.started.elapsed().as_millis() as u64,
        };
        Payload::new(&wanted).map_err(|_| Missing::NoReply)
    }
}
