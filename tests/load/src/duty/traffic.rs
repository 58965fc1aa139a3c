//! Messages to rooms or to single clients: every receiver counts what it gets. Modes `fanout`, `direct`, `churn` and `slow`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mio::Waker;

use super::churn::Churn;
use super::flow::Flow;
use super::plan::{Plan, Role};
use super::publish::Publishers;
use crate::measure::latency::Latencies;
use crate::measure::sequence::{Seen, Sequence};
use crate::net::{Duty, End, Net, Turn};
use crate::run::shared::{Counts, Schedule, Shared};
use crate::wire::message::{Stamp, StampFinder};
use crate::wire::reply::Incoming;

/// The callback id of the request that must be answered before a connection is ready.
const FIRST: &str = "ready";

/// A refused churner tries again after this time, ns.
const RETRY: u64 = 1_000_000_000;

/// What one worker counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Deliveries to members, each counted once.
    pub delivered: u64,
    /// Of these, those within the measurement.
    pub measured: u64,
    /// Deliveries that arrived twice.
    pub doubled: u64,
    /// Deliveries that arrived after a later message of the same publisher.
    pub out_of_order: u64,
    /// Deliveries that did not arrive; counted at the end.
    pub lost: u64,
    /// Deliveries to a client that is not in the room, or of an unknown publisher.
    pub strays: u64,
    /// Unknown frames.
    pub unknown: u64,
    /// Latencies of measured deliveries.
    pub latencies: Latencies,
}

/// One worker's part of a run with messages.
pub struct Traffic {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    flows: Arc<Vec<Flow>>,
    wakers: Vec<Arc<Waker>>,
    /// The workers to wake because every receiver has a message of theirs.
    to_wake: Vec<bool>,
    worker: usize,
    threads: usize,
    finder: StampFinder,
    /// Per connection, one for each publisher that it hears.
    sequences: Vec<Sequence>,
    heard: usize,
    /// When connections are to be made, until the net is told.
    arrivals: Vec<(usize, u64)>,
    /// The start and the length of the measurement, ns.
    window: (u64, u64),
    churning: bool,
    resting: bool,
    looked: bool,
    /// What was added to the shared counters so far: sent, delivered.
    reported: (u64, u64),
    /// The publishers of this worker.
    pub publishers: Publishers,
    /// The connections that come and go.
    pub churn: Churn,
    /// How the connections that never read ended.
    pub slow_ends: Counts,
    /// The counts.
    pub tally: Tally,
}

impl Traffic {
    /// The part of worker number `worker`. `arrival` says when a connection is to be made.
    #[must_use]
    pub fn new(
        plan: &Arc<Plan>,
        shared: &Arc<Shared>,
        flows: &Arc<Vec<Flow>>,
        wakers: &[Arc<Waker>],
        worker: usize,
        arrival: impl Fn(usize) -> u64,
    ) -> Self {
        let threads = wakers.len();
        let numbers = (worker..plan.connections()).step_by(threads);
        let sequences = numbers.clone().flat_map(|number| {
            let fresh = match plan.role(number) {
                Role::Churner => Sequence::from_first_seen(),
                Role::Member | Role::Slow => Sequence::from_start(),
            };
            std::iter::repeat_n(fresh, plan.heard())
        });
        let staying = numbers.clone().take_while(|&number| number < plan.staying());
        Self {
            sequences: sequences.collect(),
            arrivals: staying.map(|number| (number / threads, arrival(number))).collect(),
            heard: plan.heard(),
            plan: Arc::clone(plan),
            shared: Arc::clone(shared),
            flows: Arc::clone(flows),
            to_wake: vec![false; threads],
            wakers: wakers.to_vec(),
            worker,
            threads,
            finder: StampFinder::default(),
            window: (0, 0),
            churning: false,
            resting: false,
            looked: false,
            reported: (0, 0),
            slow_ends: Counts::new(),
            publishers: Publishers::new(plan, flows, worker, threads),
            churn: Churn::default(),
            tally: Tally::default(),
        }
    }

    #[inline]
    fn number(&self, index: usize) -> usize {
        index * self.threads + self.worker
    }

    #[inline]
    fn delivery(&mut self, index: usize, stamp: Stamp, now: u64) {
        let (number, publisher) = (self.number(index), stamp.publisher as usize);
        let Some(place) = self.plan.place(number, publisher) else {
            self.tally.strays += 1;
            return;
        };
        let is_member = number < self.plan.members;
        match self.sequences[index * self.heard + place].see(stamp.sequence) {
            Seen::New => {}
            Seen::Late => self.tally.out_of_order += 1,
            Seen::Doubled => {
                self.tally.doubled += 1;
                return;
            }
        }
        if !is_member {
            return;
        }
        self.tally.delivered += 1;
        if now.wrapping_sub(self.window.0) < self.window.1 {
            self.tally.measured += 1;
            self.tally.latencies.record(now.saturating_sub(stamp.sent_ns));
        }
        if self.flows[publisher].deliver(stamp.sequence) {
            self.to_wake[publisher % self.threads] = true;
        }
    }

    #[cold]
    fn other_text(&mut self, net: &mut Net, index: usize, text: &[u8], now: u64) {
        let Some(incoming) = Incoming::parse(text) else {
            self.tally.unknown += u64::from(!text.is_empty());
            return;
        };
        if let Some(stamp) = incoming.stamp() {
            return self.delivery(index, stamp, now);
        }
        if incoming.callback_id.as_deref() != Some(FIRST) {
            self.tally.unknown += 1;
            return;
        }
        match (incoming.refusal(), self.plan.role(self.number(index))) {
            (Some(refusal), Role::Churner) => {
                self.shared.count_end(&format!("a join was refused: {refusal}"));
                net.close(index, Some(1000));
                net.connect_at(index, now + RETRY);
            }
            (Some(refusal), _) => {
                net.close(index, Some(1000));
                self.shared
                    .one_failed(&format!("the first request was refused: {refusal}"));
            }
            (None, Role::Churner) => self.churn.joined(net, index, now, self.plan.stay_ns),
            (None, Role::Member) => self.shared.one_is_ready(),
            (None, Role::Slow) => {
                net.pause(index);
                self.shared.one_is_ready();
            }
        }
    }

    /// The load begins: the churners connect, spread over the time that they stay.
    fn begin(&mut self, net: &mut Net, schedule: Schedule) {
        self.window = (schedule.measure_from, schedule.measure_until - schedule.measure_from);
        if self.churning || self.plan.churners == 0 {
            return;
        }
        self.churning = true;
        let apart = self.plan.stay_ns / self.plan.churners as u64;
        for number in (self.worker..self.plan.connections()).step_by(self.threads) {
            if let Some(order) = number.checked_sub(self.plan.staying()) {
                net.connect_at(number / self.threads, schedule.start + order as u64 * apart);
            }
        }
    }

    /// A churner has left: counts what it missed while it was there.
    fn leave(&mut self, index: usize) {
        for sequence in &mut self.sequences[index * self.heard..(index + 1) * self.heard] {
            self.tally.lost += sequence.gaps();
            *sequence = Sequence::from_first_seen();
        }
    }

    /// Updates the shared counters and wakes workers after a turn.
    fn tell(&mut self) {
        let now = (self.publishers.sent, self.tally.delivered);
        if now != self.reported {
            self.shared.sent.fetch_add(now.0 - self.reported.0, Ordering::Relaxed);
            self.shared
                .delivered
                .fetch_add(now.1 - self.reported.1, Ordering::Release);
            self.reported = now;
            if self.resting {
                self.shared.notify();
            }
        }
        for (owner, wake) in self.to_wake.iter_mut().enumerate() {
            if std::mem::take(wake) && owner != self.worker {
                // A full eventfd wakes, too.
                let _ = self.wakers[owner].wake();
            }
        }
    }

    /// Called at the end: counts what did not arrive as lost.
    pub fn count_losses(&mut self) {
        for number in (self.worker..self.plan.connections()).step_by(self.threads) {
            let index = number / self.threads;
            for (place, publisher) in self.plan.publishers_of(number).enumerate() {
                let sequence = &self.sequences[index * self.heard + place];
                self.tally.lost += match self.plan.role(number) {
                    Role::Member => sequence.lost_of(self.flows[publisher].sent()),
                    Role::Churner => sequence.gaps(),
                    Role::Slow => 0,
                };
            }
        }
    }

    /// The slow connections are read now, to see how they ended.
    fn look_at_slow(&mut self, net: &mut Net) {
        for number in self.plan.members..self.plan.staying() {
            if number % self.threads != self.worker {
                continue;
            }
            let index = number / self.threads;
            if net.is_open(index) {
                net.resume(self, index);
            }
        }
    }
}

impl Duty for Traffic {
    fn opened(&mut self, net: &mut Net, index: usize, _now: u64) {
        match self.plan.room(self.number(index)) {
            Some(room) => {
                let join = format!(r#"{{"event":"joinRoom","payload":{{"roomId":"{room}"}},"callbackId":"{FIRST}"}}"#);
                net.send(index, &[join.as_bytes()]);
            }
            // The server knows a client that it answers.
            None => {
                let echo = format!(r#"{{"event":"echo","payload":null,"callbackId":"{FIRST}"}}"#);
                net.send(index, &[echo.as_bytes()]);
            }
        }
    }

    #[inline]
    fn text(&mut self, net: &mut Net, index: usize, text: &[u8], now: u64) {
        match self.finder.find(text) {
            Some(stamp) => self.delivery(index, stamp, now),
            None => self.other_text(net, index, text, now),
        }
    }

    fn ended(&mut self, net: &mut Net, index: usize, end: End, now: u64) {
        match self.plan.role(self.number(index)) {
            Role::Slow if self.shared.schedule().is_some() => {
                *self.slow_ends.entry(end.label()).or_default() += 1;
                self.shared.slow_ended.fetch_add(1, Ordering::Release);
                self.shared.notify();
            }
            Role::Member | Role::Slow => self.shared.connection_ended(&end),
            Role::Churner => {
                self.shared.connection_ended(&end);
                self.leave(index);
                net.connect_at(index, now + RETRY);
            }
        }
    }

    fn turn(&mut self, net: &mut Net, now: u64) -> Turn {
        for (index, due) in self.arrivals.drain(..) {
            net.connect_at(index, due);
        }
        if self.shared.is_stopped() {
            self.tell();
            return Turn::Done;
        }
        let Some(schedule) = self.shared.schedule() else {
            return Turn::Wait;
        };
        self.begin(net, schedule);
        if now < schedule.start {
            return Turn::WaitUntil(schedule.start);
        }
        if now >= schedule.measure_until {
            // Messages that were due before the end are sent, however late.
            if !self.resting && !self.publishers.is_behind(net, schedule, now) {
                self.resting = true;
                self.shared.rest();
            }
            if self.shared.is_time_to_look() && !std::mem::replace(&mut self.looked, true) {
                self.look_at_slow(net);
            }
            self.tell();
            return if self.resting { Turn::Wait } else { Turn::WaitUntil(now) };
        }
        let mut wake = self.publishers.publish(net, schedule, now);
        if self.churning {
            while let Some(index) = self.churn.next_to_leave(net, now) {
                net.close(index, Some(1000));
                self.leave(index);
                net.connect_at(index, now);
            }
            wake = [wake, self.churn.next_leave()].into_iter().flatten().min();
        }
        self.tell();
        Turn::WaitUntil(wake.unwrap_or(schedule.measure_until).min(schedule.measure_until))
    }
}
