//! The clock: sends beacons, and judges by time which nodes are heard, which servers live and which data is old.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::parts::Parts;
use crate::cluster::{Claim, beacon_interval};
use crate::error::DriverError;
use crate::flow::state::choices::Choices;
use crate::flow::state::lapse::LapseReason;
use crate::nodes::{Mask, SILENT_INTERVALS};
use crate::options::Options;

/// Time between two checks for silent nodes, silent servers and channels to give up.
const TICK: Duration = Duration::from_millis(250);
/// News within this time share one beacon.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// A server waits this long after its first beacon for others to answer: then its roster is filled.
const SETTLE: Duration = Duration::from_millis(150);
/// A starting server waits for this many probe intervals for nodes that cannot be reached: so long, they may be starting as well.
const A_MOMENT: u32 = 2;
/// If more time than this passes between two ticks, this process was stopped.
const STALL: Duration = Duration::from_secs(2);

/// Judges by time, and sends beacons.
pub(crate) struct Clock {
    parts: Arc<Parts>,
    fatal: watch::Sender<Option<DriverError>>,
    first_beacon: Option<Instant>,
    /// Since when a node is heard, until this server counts.
    heard_since: Option<Instant>,
    last_tick: Instant,
    heard_before: Mask,
    judged: Instant,
    /// It was logged that this server counts and hears no node.
    is_deaf: bool,
    /// It was logged that messages are rejected for that.
    is_refusing: bool,
    /// Which sequence was next when: to know the oldest that is still young.
    samples: VecDeque<(Instant, u64)>,
}

impl Clock {
    pub(crate) fn new(parts: Arc<Parts>, fatal: watch::Sender<Option<DriverError>>) -> Self {
        let now = Instant::now();
        Self {
            parts,
            fatal,
            first_beacon: None,
            heard_since: None,
            last_tick: now,
            heard_before: 0,
            judged: now,
            is_deaf: false,
            is_refusing: false,
            samples: VecDeque::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let on = self.parts.foundation.clone();
        let stop = on.tasks.stop();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_beacon = Instant::now();
        loop {
            let news = tokio::select! {
                () = stop.cancelled() => return,
                () = on.hearing.changed().notified() => { sleep(DEBOUNCE).await; true }
                // Not at once: after a fault of a node, every server has news to send.
                _ = tick.tick() => self.parts.beacons.take_repeat(),
            };
            if stop.is_cancelled() {
                // Its nodes end with this server: that it hears none of them is not a fault.
                return;
            }
            let now = Instant::now();
            self.watch_myself(now);
            self.judge(now);
            self.move_mark(now);
            self.judge_fastest(now);
            if !self.gives_way(now) {
                self.count_in(now);
            }
            if on.members.is_refused() {
                let name = on.options.name.clone();
                self.fatal.send_replace(Some(DriverError::DuplicateName { name }));
            }
            let heard = on.hearing.mask(now);
            let news = std::mem::replace(&mut self.heard_before, heard) != heard || news;
            if news || now >= next_beacon {
                next_beacon = now + beacon_interval(on.members.roster().len() + 1);
                self.send_beacon(now).await;
            }
        }
    }

    async fn send_beacon(&mut self, now: Instant) {
        let beacons = &self.parts.beacons;
        let beacon = beacons.beacon();
        if !beacon.heard.is_empty() && self.first_beacon.is_none() {
            self.first_beacon = Some(now);
        }
        beacons.publish(&beacon).await;
        self.parts.gauges.refresh(now);
    }

    /// Judges by time: which nodes are heard, which servers live, which channels are given up, which data is old.
    fn judge(&self, now: Instant) {
        let parts = &self.parts;
        let interest = parts.flow.subscriptions.interest();
        for node in parts.topology.nodes().iter() {
            interest.returning(node.index, node.health.returning(now));
        }
        interest.sweep(now);
        parts.flow.outbound.tick(now);
        parts.topology.tick(now);
        parts.membership.expire(now);
    }

    /// Notices for how long this process was stopped, and for how long it heard no node.
    fn watch_myself(&mut self, now: Instant) {
        let on = &self.parts.foundation;
        let window = on.options.replay_window;
        let stalled = now.saturating_duration_since(self.last_tick);
        self.last_tick = now;
        if stalled > STALL {
            on.members.roster().be_patient(now);
        }
        if stalled > window {
            on.lapses.report(LapseReason::Stalled, stalled);
        }
        let deaf_for = on.hearing.deaf_for(now);
        let is_deaf = on.hearing.judge(now);
        if is_deaf && deaf_for <= window {
            // Messages to others wait meanwhile, so the others must not be taken for gone.
            on.members.roster().be_patient(now);
        }
        if on.is_alone() || !on.members.is_counted() {
            return;
        }
        if is_deaf {
            self.on_deaf(deaf_for, now);
        } else {
            self.on_hearing(deaf_for);
        }
    }

    fn on_deaf(&mut self, deaf_for: Duration, now: Instant) {
        self.parts.flow.outbound.close_waiting(now);
        if !std::mem::replace(&mut self.is_deaf, true) {
            tracing::error!(
                "this server hears no Redis node and is cut off from all others: local clients are served; messages to other \
                 servers wait, at most for the replay window; check the Redis nodes and the network"
            );
        }
        let is_long = self.parts.foundation.hearing.outage_is_long(now);
        if is_long && !std::mem::replace(&mut self.is_refusing, true) {
            tracing::error!(
                deaf_ms = deaf_for.as_millis() as u64,
                "this server has heard no Redis node for longer than the replay window: messages to other servers are \
                 rejected until it does; check the Redis nodes and the network"
            );
        }
    }

    fn on_hearing(&mut self, deaf_for: Duration) {
        self.is_refusing = false;
        if !std::mem::take(&mut self.is_deaf) {
            return;
        }
        let on = &self.parts.foundation;
        // Silence is noticed late: messages may have been missing that much longer.
        let deaf = deaf_for + on.options.probe_interval * SILENT_INTERVALS;
        tracing::info!(
            deaf_ms = deaf.as_millis() as u64,
            "this server hears a Redis node again"
        );
        if deaf > on.options.replay_window {
            on.lapses.report(LapseReason::Isolated, deaf);
        }
    }

    /// Compares the round trips of nodes once per probe interval.
    fn judge_fastest(&mut self, now: Instant) {
        if now.saturating_duration_since(self.judged) >= self.parts.foundation.options.probe_interval {
            self.judged = now;
            self.parts.flow.outbound.judge_fastest(now);
        }
    }

    /// Moves the mark: sequences below it are older than any copy can be.
    fn move_mark(&mut self, now: Instant) {
        let outbound = &self.parts.flow.outbound;
        self.samples.push_back((now, outbound.next_sequence()));
        let mark_age = self.parts.foundation.options.mark_age();
        let old = |at: Instant| now.saturating_duration_since(at) > mark_age;
        while self.samples.len() > 1 && old(self.samples[1].0) {
            self.samples.pop_front();
        }
        if let Some(&(at, sequence)) = self.samples.front()
            && old(at)
        {
            outbound.move_mark(sequence);
        }
    }

    /// Whether another cluster uses the same channels and stands, or may stand, above this one. Then this server ends, or does not start yet.
    fn gives_way(&self, now: Instant) -> bool {
        let on = &self.parts.foundation;
        match on.members.claim(now) {
            Claim::None => false,
            Claim::Possible => true,
            Claim::Certain(server, theirs) => {
                let (prefix, ours) = (on.options.prefix.clone(), on.options.cluster_id.clone());
                self.fatal.send_replace(Some(DriverError::OtherCluster {
                    prefix,
                    server,
                    theirs,
                    ours,
                }));
                true
            }
        }
    }

    /// A starting server counts once it hears every active node that can be heard, and others had time to answer. One that only
    /// visits does not wait for all nodes: only for itself does it count.
    fn count_in(&mut self, now: Instant) {
        let on = &self.parts.foundation;
        if on.members.is_counted() {
            return;
        }
        let choices = on.choices.load();
        let heard = choices.usable(now);
        if heard == 0 {
            self.heard_since = None;
            return;
        }
        let heard_for = now.saturating_duration_since(*self.heard_since.get_or_insert(now));
        let settled = self
            .first_beacon
            .is_some_and(|first| now.saturating_duration_since(first) >= SETTLE);
        let missing = choices.nodes.active & !heard;
        if settled && (on.options.visiting || !is_worth_waiting(&choices, missing, heard_for, &on.options)) {
            on.members.count_in(now);
            let servers = on.members.roster().len();
            tracing::info!(
                nodes = heard.count_ones(),
                servers,
                "this server takes part: it hears the Redis nodes and other servers"
            );
            self.parts.flow.subscriptions.interest().count();
            on.hearing.changed().notify_one();
        }
    }
}

/// Whether a starting server should wait for these nodes, having heard another one for this long. Once it counts, nobody uses a node
/// that it does not hear. Those that the others do without need no waiting, and those that cannot be reached only a moment.
fn is_worth_waiting(choices: &Choices, missing: Mask, heard_for: Duration, options: &Options) -> bool {
    if choices.with_everyone(missing) == 0 || heard_for >= options.probe_interval + options.command_timeout {
        return false;
    }
    let mut nodes = choices.nodes.iter().filter(|node| missing & 1 << node.index != 0);
    heard_for < options.probe_interval * A_MOMENT || nodes.any(|node| node.health.error().is_none())
}
