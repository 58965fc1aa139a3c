//! Requests and their replies, each counted and timed. Mode `request`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::plan::Pace;
use crate::measure::clock::SECOND;
use crate::measure::latency::Latencies;
use crate::measure::sequence::{Seen, Sequence};
use crate::net::{Duty, End, Net, Turn};
use crate::run::shared::{Counts, Schedule, Shared};
use crate::wire::client_frame;
use crate::wire::reply::Reply;

/// The requests of a run.
#[derive(Debug, Clone)]
pub struct Questions {
    /// A request's frame up to the callback id.
    pub before_id: String,
    /// How requests are sent; a window is each connection's.
    pub pace: Pace,
    /// The number of connections; each sends requests.
    pub connections: usize,
}

impl Questions {
    /// Requests of this event with this payload, which is JSON.
    #[must_use]
    pub fn new(event: &str, payload: &serde_json::Value, pace: Pace, connections: usize) -> Self {
        let event = serde_json::Value::from(event);
        Self {
            before_id: format!(r#"{{"event":{event},"payload":{payload},"callbackId":""#),
            pace,
            connections,
        }
    }
}

/// What one worker counted.
#[derive(Debug, Default)]
pub struct Answers {
    /// Requests that were sent.
    pub sent: u64,
    /// Replies, each counted once.
    pub replies: u64,
    /// Of these, those within the measurement.
    pub measured: u64,
    /// Replies that arrived twice.
    pub doubled: u64,
    /// Requests that were never answered; counted at the end.
    pub unanswered: u64,
    /// Replies with an error, by code.
    pub errors: Counts,
    /// Pushes and other frames.
    pub others: u64,
    /// Latencies of measured replies, errors included.
    pub latencies: Latencies,
}

#[derive(Debug)]
struct Asking {
    next: u64,
    replies: u64,
    seen: Sequence,
}

/// One worker's part of the connections.
pub struct Requests {
    questions: Arc<Questions>,
    shared: Arc<Shared>,
    worker: usize,
    threads: usize,
    arrivals: Vec<(usize, u64)>,
    asking: Vec<Asking>,
    window: (u64, u64),
    resting: bool,
    reported: (u64, u64),
    /// At a fixed rate: the connection whose turn is next, and the round.
    next: (usize, u64),
    /// The counts.
    pub answers: Answers,
}

impl Requests {
    /// The part of worker number `worker` of `threads`; `arrivals`: which connection is made when, ns.
    #[must_use]
    pub fn new(
        questions: &Arc<Questions>,
        shared: &Arc<Shared>,
        worker: usize,
        threads: usize,
        arrivals: Vec<(usize, u64)>,
    ) -> Self {
        let asking = arrivals.iter().map(|_| Asking {
            next: 0,
            replies: 0,
            seen: Sequence::from_start(),
        });
        Self {
            asking: asking.collect(),
            questions: Arc::clone(questions),
            shared: Arc::clone(shared),
            worker,
            threads,
            arrivals,
            window: (0, 0),
            resting: false,
            reported: (0, 0),
            next: (0, 0),
            answers: Answers::default(),
        }
    }

    /// Called at the end: counts what was not answered.
    pub fn count_unanswered(&mut self) {
        self.answers.unanswered = self.asking.iter().map(|asking| asking.seen.lost_of(asking.next)).sum();
    }

    fn ask(&mut self, net: &mut Net, index: usize, sent_ns: u64) {
        let asking = &mut self.asking[index];
        let id = format!("{}.{sent_ns}\"}}", asking.next);
        asking.next += 1;
        self.answers.sent += 1;
        client_frame::text(net.output(index), &[self.questions.before_id.as_bytes(), id.as_bytes()]);
    }

    fn fill_windows(&mut self, net: &mut Net, window: u64, now: u64) {
        for index in 0..self.asking.len() {
            let asking = &self.asking[index];
            let free = window.saturating_sub(asking.next - asking.replies);
            if free > 0 && net.is_open(index) {
                (0..free).for_each(|_| self.ask(net, index, now));
                net.flush(index);
            }
        }
    }

    /// Request `n` of all connections is due at `n / rate`, like a publisher's messages.
    fn send_due(&mut self, net: &mut Net, rate: f64, schedule: Schedule, now: u64) -> Option<u64> {
        if self.asking.is_empty() {
            return None;
        }
        loop {
            let (index, round) = self.next;
            let number = round * self.questions.connections as u64 + (index * self.threads + self.worker) as u64;
            let due = schedule.start + (number as f64 * (SECOND as f64 / rate)) as u64;
            if due > now || due >= schedule.measure_until {
                return (due < schedule.measure_until).then_some(due);
            }
            if net.is_open(index) {
                self.ask(net, index, due);
                net.flush(index);
            }
            self.next = if index + 1 == self.asking.len() {
                (0, round + 1)
            } else {
                (index + 1, round)
            };
        }
    }

    fn tell(&mut self) {
        let now = (self.answers.sent, self.answers.replies);
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
    }
}

impl Duty for Requests {
    fn opened(&mut self, _net: &mut Net, _index: usize, _now: u64) {
        self.shared.one_is_ready();
    }

    #[inline]
    fn text(&mut self, _net: &mut Net, index: usize, text: &[u8], now: u64) {
        let Some(reply) = Reply::find(text) else {
            self.answers.others += 1;
            return;
        };
        let asking = &mut self.asking[index];
        if reply.sequence >= asking.next {
            self.answers.others += 1;
            return;
        }
        if asking.seen.see(reply.sequence) == Seen::Doubled {
            self.answers.doubled += 1;
            return;
        }
        asking.replies += 1;
        self.answers.replies += 1;
        if let Some(code) = reply.error_code {
            let code = String::from_utf8_lossy(code).into_owned();
            *self.answers.errors.entry(code).or_default() += 1;
        }
        if now.wrapping_sub(self.window.0) < self.window.1 {
            self.answers.measured += 1;
            self.answers.latencies.record(now.saturating_sub(reply.sent_ns));
        }
    }

    fn ended(&mut self, _net: &mut Net, _index: usize, end: End, _now: u64) {
        self.shared.connection_ended(&end);
    }

    fn turn(&mut self, net: &mut Net, now: u64) -> Turn {
        for (index, due) in self.arrivals.drain(..) {
            net.connect_at(index, due);
        }
        self.tell();
        if self.shared.is_stopped() {
            return Turn::Done;
        }
        let Some(schedule) = self.shared.schedule() else {
            return Turn::Wait;
        };
        self.window = (schedule.measure_from, schedule.measure_until - schedule.measure_from);
        if now < schedule.start {
            return Turn::WaitUntil(schedule.start);
        }
        if now >= schedule.measure_until {
            if !self.resting {
                // Requests that were due before the end are sent, however late.
                if let Pace::Rate(rate) = self.questions.pace {
                    self.send_due(net, rate, schedule, now);
                }
                self.resting = true;
                self.tell();
                self.shared.rest();
            }
            return Turn::Wait;
        }
        let next = match self.questions.pace {
            Pace::Window(window) => {
                self.fill_windows(net, window, now);
                None
            }
            Pace::Rate(rate) => self.send_due(net, rate, schedule, now),
        };
        Turn::WaitUntil(next.unwrap_or(schedule.measure_until).min(schedule.measure_until))
    }
}
