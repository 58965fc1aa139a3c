//! The publishers of one worker: when which message is due, and how its frame is made.

use std::sync::Arc;

use super::flow::Flow;
use super::plan::{Pace, Plan};
use crate::measure::clock::SECOND;
use crate::measure::latency::Latencies;
use crate::net::Net;
use crate::run::shared::Schedule;
use crate::wire::client_frame;
use crate::wire::message::Stamp;

/// A window that does not move for this long is given up: its messages are lost, and the next ones are sent.
const STALL: u64 = 2 * SECOND;

/// Most messages that one turn sends at a fixed rate, so that a worker that is late reads in between.
const BURST: usize = 4096;

#[derive(Debug)]
struct Publisher {
    number: u32,
    index: usize,
    next: u64,
    around: (String, String),
    /// Where the present window begins: messages sent and done before it.
    base: (u64, u64),
    /// How many were done at the last check, and when that number changed.
    done: (u64, u64),
}

/// Sends what is due.
#[derive(Debug)]
pub struct Publishers {
    plan: Arc<Plan>,
    flows: Arc<Vec<Flow>>,
    mine: Vec<Publisher>,
    /// At a fixed rate: the connection whose turn is next, and the round.
    next: (usize, u64),
    text: Vec<u8>,
    /// Messages that were sent.
    pub sent: u64,
    /// Windows that were given up.
    pub stalls: u64,
    /// At a fixed rate: how much later than due messages were sent.
    pub lateness: Latencies,
}

impl Publishers {
    /// Those of worker `worker` of `threads`.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, flows: &Arc<Vec<Flow>>, worker: usize, threads: usize) -> Self {
        let mine = (worker..plan.publishers).step_by(threads).map(|number| Publisher {
            number: number as u32,
            index: number / threads,
            next: 0,
            around: plan.around(number),
            base: (0, 0),
            done: (0, 0),
        });
        Self {
            mine: mine.collect(),
            plan: Arc::clone(plan),
            flows: Arc::clone(flows),
            next: (0, 0),
            text: Vec::new(),
            sent: 0,
            stalls: 0,
            lateness: Latencies::default(),
        }
    }

    /// Sends what is due; returns when the next message is due, if that is known.
    pub fn publish(&mut self, net: &mut Net, schedule: Schedule, now: u64) -> Option<u64> {
        match self.plan.pace {
            Pace::Window(window) => self.fill_windows(net, window, now),
            Pace::Rate(rate) => self.send_due(net, rate, schedule, now),
        }
    }

    /// After the end of the measurement: sends what was due before it; `true` if that is more than one turn can send.
    pub fn is_behind(&mut self, net: &mut Net, schedule: Schedule, now: u64) -> bool {
        match self.plan.pace {
            Pace::Window(_) => false,
            Pace::Rate(rate) => self.send_due(net, rate, schedule, now).is_some(),
        }
    }

    fn fill_windows(&mut self, net: &mut Net, window: u64, now: u64) -> Option<u64> {
        for at in 0..self.mine.len() {
            let publisher = &mut self.mine[at];
            let done = self.flows[publisher.number as usize].done();
            if publisher.done.0 != done {
                publisher.done = (done, now);
            }
            let under_way = (publisher.next - publisher.base.0).saturating_sub(done - publisher.base.1);
            let free = window.saturating_sub(under_way);
            let index = publisher.index;
            if free == 0 {
                if now.saturating_sub(publisher.done.1) > STALL {
                    publisher.base = (publisher.next, done);
                    publisher.done.1 = now;
                    self.stalls += 1;
                }
                continue;
            }
            if publisher.next == 0 {
                publisher.done.1 = now;
            }
            if net.is_open(index) {
                (0..free).for_each(|_| self.write(net, at, now));
                net.flush(index);
            }
        }
        None
    }

    fn send_due(&mut self, net: &mut Net, rate: f64, schedule: Schedule, now: u64) -> Option<u64> {
        if self.mine.is_empty() {
            return None;
        }
        let until = now.min(schedule.measure_until - 1);
        for _ in 0..BURST {
            let (at, round) = self.next;
            // Message `n` of all is due at `n / rate`; publishers take turns.
            let number = round * self.plan.publishers as u64 + u64::from(self.mine[at].number);
            let due = schedule.start + (number as f64 * (SECOND as f64 / rate)) as u64;
            if due > until {
                return (due < schedule.measure_until).then_some(due);
            }
            if net.is_open(self.mine[at].index) {
                self.write(net, at, due);
                net.flush(self.mine[at].index);
                self.lateness.record(now - due);
            }
            self.next = if at + 1 == self.mine.len() {
                (0, round + 1)
            } else {
                (at + 1, round)
            };
        }
        Some(now)
    }

    fn write(&mut self, net: &mut Net, at: usize, sent_ns: u64) {
        let publisher = &mut self.mine[at];
        let stamp = Stamp {
            publisher: publisher.number,
            sequence: publisher.next,
            sent_ns,
        };
        self.flows[publisher.number as usize].send(publisher.next);
        publisher.next += 1;
        self.sent += 1;
        stamp.write(&mut self.text, self.plan.size);
        let (before, after) = &publisher.around;
        client_frame::text(
            net.output(publisher.index),
            &[before.as_bytes(), &self.text, after.as_bytes()],
        );
    }
}
