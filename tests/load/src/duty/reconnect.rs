//! All connections end at once and reconnect: how long does it take until all are back? Mode `reconnect`.

use std::sync::Arc;
use std::time::Duration;

use wsmesh_protocol::CloseCode;

use crate::measure::clock::{SECOND, ns};
use crate::measure::latency::Latencies;
use crate::net::{Duty, End, Net, Turn};
use crate::run::shared::{Counts, Shared};

/// The longest wait before another attempt, ns; the wait doubles each time, with full jitter.
const LONGEST_RETRY: u64 = 5 * SECOND;

/// How clients reconnect.
#[derive(Debug, Clone)]
pub struct Returning {
    /// They reconnect within this time, each at a random moment, unless the server gives a delay.
    pub jitter: Duration,
    /// Whether the server ends the connections (it is restarted, for example) or this tool.
    pub by_server: bool,
}

/// What one worker counted.
#[derive(Debug, Default)]
pub struct Returns {
    /// Connections that came back.
    pub back: u64,
    /// Connections whose close frame had a delay.
    pub told_when: u64,
    /// Attempts that failed, by reason.
    pub failed_attempts: Counts,
    /// How the server ended connections.
    pub ends: Counts,
    /// From the end of each connection until it is back.
    pub until_back: Latencies,
    /// From the start of the successful attempt until the upgrade.
    pub upgrades: Latencies,
    /// When the first connection ended and the last one was back, ns.
    pub span: Option<(u64, u64)>,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Not connected yet.
    New,
    /// Connected since the beginning.
    There,
    /// Ended at this time, with this many failed attempts since.
    Away(u64, u32),
    /// Reconnected.
    Back,
}

/// One worker's part of the connections.
pub struct Reconnect {
    returning: Returning,
    shared: Arc<Shared>,
    arrivals: Vec<(usize, u64)>,
    states: Vec<State>,
    dropped: bool,
    /// The counts.
    pub returns: Returns,
}

impl Reconnect {
    /// `arrivals`: which connection is made when, ns.
    #[must_use]
    pub fn new(returning: &Returning, shared: &Arc<Shared>, arrivals: Vec<(usize, u64)>) -> Self {
        Self {
            returning: returning.clone(),
            shared: Arc::clone(shared),
            states: vec![State::New; arrivals.len()],
            arrivals,
            dropped: false,
            returns: Returns::default(),
        }
    }

    /// Ends all connections of this worker without a close frame, like a broken network.
    fn drop_all(&mut self, net: &mut Net, now: u64) {
        self.dropped = true;
        for index in 0..self.states.len() {
            net.close(index, None);
            self.went(net, index, None, now);
        }
    }

    /// A connection ended: it reconnects after the delay that the server gave, or at a random moment.
    fn went(&mut self, net: &mut Net, index: usize, delay_ms: Option<u64>, now: u64) {
        self.states[index] = State::Away(now, 0);
        self.returns.span.get_or_insert((now, now));
        self.returns.told_when += u64::from(delay_ms.is_some());
        let wait = delay_ms.map_or_else(|| jittered(ns(self.returning.jitter)), |ms| ms * (SECOND / 1_000));
        net.connect_at(index, now + wait);
    }

    fn failed(&mut self, net: &mut Net, index: usize, since: u64, failures: u32, end: &End, now: u64) {
        *self.returns.failed_attempts.entry(end.label()).or_default() += 1;
        self.states[index] = State::Away(since, failures + 1);
        let wait = match end {
            End::Refused {
                retry_after_s: Some(seconds),
                ..
            } => (*seconds).min(60) * SECOND + jittered(SECOND),
            _ => jittered(((SECOND / 2) << failures.min(8)).min(LONGEST_RETRY)),
        };
        net.go_elsewhere(index);
        net.connect_at(index, now + wait);
    }
}

fn jittered(longest: u64) -> u64 {
    rand::random_range(0..=longest)
}

impl Duty for Reconnect {
    fn opened(&mut self, net: &mut Net, index: usize, now: u64) {
        let before = std::mem::replace(&mut self.states[index], State::There);
        match before {
            State::New | State::There | State::Back => self.shared.one_is_ready(),
            State::Away(since, _) => {
                self.states[index] = State::Back;
                self.returns.back += 1;
                self.returns.until_back.record(now - since);
                self.returns.upgrades.record(now.saturating_sub(net.since(index)));
                if let Some((_, last)) = &mut self.returns.span {
                    *last = now;
                }
                self.shared.delivered.fetch_add(1, std::sync::atomic::Ordering::Release);
                self.shared.notify();
            }
        }
    }

    fn text(&mut self, _net: &mut Net, _index: usize, _text: &[u8], _now: u64) {}

    fn ended(&mut self, net: &mut Net, index: usize, end: End, now: u64) {
        match self.states[index] {
            State::New => self.shared.connection_ended(&end),
            State::Away(since, failures) => self.failed(net, index, since, failures, &end, now),
            State::There | State::Back => {
                *self.returns.ends.entry(end.label()).or_default() += 1;
                let delay = match &end {
                    End::Closed { reason, .. } => CloseCode::parse_delay(reason),
                    _ => None,
                };
                if matches!(self.states[index], State::Back) {
                    // It counts as back only if it stays.
                    self.returns.back -= 1;
                    self.shared.delivered.fetch_sub(1, std::sync::atomic::Ordering::Release);
                }
                net.go_elsewhere(index);
                self.went(net, index, delay, now);
            }
        }
    }

    fn turn(&mut self, net: &mut Net, now: u64) -> Turn {
        for (index, due) in self.arrivals.drain(..) {
            net.connect_at(index, due);
        }
        if self.shared.is_stopped() {
            return Turn::Done;
        }
        match self.shared.schedule() {
            Some(schedule) if !self.dropped && !self.returning.by_server => {
                if now < schedule.start {
                    return Turn::WaitUntil(schedule.start);
                }
                self.drop_all(net, now);
                Turn::Wait
            }
            _ => Turn::Wait,
        }
    }
}
