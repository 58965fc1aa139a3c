//! The clock: beacons, and judging by time which nodes are heard, which servers live, what is old.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::api::adapter::Inner;
use crate::cluster::{Beacon, FORMAT, beacon_interval};
use crate::error::DriverError;
use crate::life::lapses::LapseReason;
use crate::nodes::{Mask, SILENT_INTERVALS};

/// How often time is looked at: silent nodes and servers, channels to give up.
const TICK: Duration = Duration::from_millis(250);
/// News within this time share one beacon.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// A server waits so long after its first beacon for others to answer: then its roster is filled.
const SETTLE: Duration = Duration::from_millis(150);
/// A starting server counts without hearing all nodes after this time, if it hears one.
const IMPATIENT: Duration = Duration::from_secs(10);
/// Time between two ticks that means that this process was stopped.
const STALL: Duration = Duration::from_secs(2);
/// Longest wait for a beacon's PUBLISH: others will follow.
const BEACON_LIMIT: Duration = Duration::from_millis(500);

/// Looks at the time.
pub(crate) struct Clock {
    inner: Arc<Inner>,
    fatal: watch::Sender<Option<DriverError>>,
    first_beacon: Option<Instant>,
    last_tick: Instant,
    heard_before: Mask,
    judged: Instant,
    /// This server counts and hears no node; since it was noticed.
    deaf: bool,
    /// It was said that messages are refused for that.
    refusing: bool,
    /// Which sequence was next when: to know the oldest that is still young.
    samples: VecDeque<(Instant, u64)>,
}

impl Clock {
    pub(crate) fn new(inner: Arc<Inner>, fatal: watch::Sender<Option<DriverError>>) -> Self {
        let now = Instant::now();
        Self {
            inner,
            fatal,
            first_beacon: None,
            last_tick: now,
            heard_before: 0,
            judged: now,
            deaf: false,
            refusing: false,
            samples: VecDeque::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.inner.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_beacon = Instant::now();
        loop {
            let changed = self.inner.changed.clone();
            let news = tokio::select! {
                () = stop.cancelled() => return,
                () = changed.notified() => { sleep(DEBOUNCE).await; true }
                // Not at once: after a fault of a node everybody has something to say.
                _ = tick.tick() => self.inner.to_be_said_again.swap(false, Ordering::Relaxed),
            };
            if stop.is_cancelled() {
                // Its nodes end with this server: that it hears none of them is no fault.
                return;
            }
            let now = Instant::now();
            self.watch_myself(now);
            self.inner.judge(now);
            self.move_mark(now);
            self.judge_fastest(now);
            self.count_in(now);
            if self.inner.is_refused() {
                let name = self.inner.options.name.clone();
                self.fatal.send_replace(Some(DriverError::DuplicateName { name }));
            }
            let heard = self.inner.heard_mask(now);
            let news = std::mem::replace(&mut self.heard_before, heard) != heard || news;
            if news || now >= next_beacon {
                let servers = self.inner.roster().len() + 1;
                next_beacon = now + beacon_interval(servers);
                let beacon = self.inner.beacon();
                if !beacon.heard.is_empty() && self.first_beacon.is_none() {
                    self.first_beacon = Some(now);
                }
                self.inner.publish_beacon(&beacon).await;
                self.inner.refresh(now);
            }
        }
    }

    /// Notices for how long this process was stopped, and for how long it heard no node.
    fn watch_myself(&mut self, now: Instant) {
        let window = self.inner.options.replay_window;
        let stalled = now.saturating_duration_since(self.last_tick);
        self.last_tick = now;
        if stalled > STALL {
            self.inner.roster().be_patient(now);
        }
        if stalled > window {
            self.inner.lapse(LapseReason::Stalled, stalled);
        }
        let deaf_for = self.inner.deaf_for(now);
        let deaf = self.inner.note_hearing(now);
        if deaf && deaf_for <= window {
            // What is sent to others meanwhile waits for a node, so they are not to be taken for gone.
            self.inner.roster().be_patient(now);
        }
        if self.inner.alone || !*self.inner.counted.borrow() {
            return;
        }
        if deaf {
            self.inner.waiting.close(now);
            if !std::mem::replace(&mut self.deaf, true) {
                tracing::error!(
                    "this server hears no Redis node: it is cut off from all others; local clients are served, what is sent \
                     to others waits for the replay window"
                );
            }
            if self.inner.outage_is_long(now) && !std::mem::replace(&mut self.refusing, true) {
                tracing::error!(
                    deaf_ms = deaf_for.as_millis() as u64,
                    "no Redis node was heard for longer than the replay window: messages to other servers are refused now"
                );
            }
            return;
        }
        self.refusing = false;
        if std::mem::take(&mut self.deaf) {
            // What was not heard may have been missing for as long as noticing it takes.
            let deaf = deaf_for + self.inner.options.probe_interval * SILENT_INTERVALS;
            tracing::warn!(
                deaf_ms = deaf.as_millis() as u64,
                "this server hears a Redis node again"
            );
            if deaf > window {
                self.inner.lapse(LapseReason::Isolated, deaf);
            }
        }
    }

    /// Round trips are news once a probe interval.
    fn judge_fastest(&mut self, now: Instant) {
        if now.saturating_duration_since(self.judged) >= self.inner.options.probe_interval {
            self.judged = now;
            let choices = self.inner.choices.load();
            self.inner
                .fastest
                .judge(choices.usable(now), |index| choices.smooth_rtt(index));
        }
    }

    /// Sequences that are older than any copy can be lie below the mark.
    fn move_mark(&mut self, now: Instant) {
        let next = self.inner.sequence.load(Ordering::Relaxed);
        self.samples.push_back((now, next));
        let old = |at: Instant| now.saturating_duration_since(at) > self.inner.options.mark_age();
        while self.samples.len() > 1 && old(self.samples[1].0) {
            self.samples.pop_front();
        }
        if let Some(&(at, sequence)) = self.samples.front()
            && old(at)
        {
            self.inner.mark.store(sequence, Ordering::Relaxed);
        }
    }

    /// A starting server counts once it hears every active node (or one, after a while) and others had time to answer.
    fn count_in(&self, now: Instant) {
        if *self.inner.counted.borrow() {
            return;
        }
        let (active, heard) = {
            let choices = self.inner.choices.load();
            (choices.nodes.active, choices.usable(now))
        };
        let settled = self
            .first_beacon
            .is_some_and(|first| now.saturating_duration_since(first) >= SETTLE);
        let patient = now.saturating_duration_since(self.inner.started) < IMPATIENT;
        if settled && heard != 0 && (heard == active || !patient) {
            let _first = self.inner.counted_at.set(now);
            self.inner.counted.send_replace(true);
            self.inner.interest.count();
            self.inner.changed.notify_one();
        }
    }
}

impl Inner {
    /// Looks whether no node is heard; then each is as good as any other, whatever happened to it before.
    fn note_hearing(&self, now: Instant) -> bool {
        let choices = self.choices.load();
        let deaf = choices.heard(now) == 0;
        if deaf {
            choices.nodes.iter().for_each(|node| node.health.forgive());
        } else {
            let heard = now.saturating_duration_since(self.started);
            self.heard_ms.store(heard.as_millis() as u64, Ordering::Relaxed);
        }
        self.deaf
            .send_if_modified(|before| std::mem::replace(before, deaf) != deaf);
        deaf
    }

    /// What this server says about itself now.
    pub(crate) fn beacon(&self) -> Beacon {
        let nodes = self.choices.load().nodes.clone();
        let gaps = nodes.iter().map(|node| (node.id.clone(), node.health.gaps()));
        let topology = serde_json::to_value(self.plan().entries()).unwrap_or_default();
        Beacon {
            format: FORMAT,
            name: self.options.name.clone(),
            service: self.options.service.clone(),
            instance: self.instance,
            version: self.options.version.clone(),
            number: self.beacons.fetch_add(1, Ordering::Relaxed),
            counted: *self.counted.borrow(),
            heard: self.heard_nodes(),
            gaps: gaps.filter(|(_, count)| *count > 0).collect(),
            mark: self.mark.load(Ordering::Relaxed),
            topology,
            settings: self.options.shared_settings(),
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            parting: self.parting(),
            rival: self.namesakes().rival,
        }
    }

    /// Through every node, whatever its health: a node that some hear carries it to them.
    pub(crate) async fn publish_beacon(&self, beacon: &Beacon) {
        let bytes = bytes::Bytes::from(beacon.encode());
        let nodes = self.choices.load().nodes.clone();
        let limit = self.options.command_timeout.min(BEACON_LIMIT);
        let sending = nodes
            .iter()
            .map(|node| node.publish_soon(&self.beacon_channel, bytes.clone(), limit));
        for result in join_all(sending).await {
            if let Err(error) = result {
                tracing::trace!("a beacon was not published: {error}");
            }
        }
    }

    /// Looks at the time: which nodes are heard, which servers live, which channels are to be given up, what is old.
    fn judge(self: &Arc<Self>, now: Instant) {
        for node in self.choices.load().nodes.iter() {
            self.interest.returning(node.index, node.health.returning(now));
        }
        self.interest.sweep(now);
        self.keep_what_is_owed();
        self.window.sweep(now);
        self.judge_apart(now);
        self.tick_topology(now);
        self.expire_servers(now);
    }
}
