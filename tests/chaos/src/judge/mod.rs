//! The independent counter: compares what was sent with what arrived, and reports what was owed and is missing.
//!
//! A message is owed to every receiver whose process counted and had confirmed the subscription before it was sent, if
//! the sender and the receiver lived until well after. It knows only the logs of the processes, not the adapter.

mod expected;
mod fates;
mod gaps;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::pace::Pace;
use crate::plan::Plan;
use crate::process::Life;
use crate::record::{self, Event, Record, Refusal};
use crate::stage::Excuse;
use crate::talk::Lapse;
use expected::{Expected, Receiver};
use fates::Fates;
pub use requests::Requests;

/// A delivery that took longer is late.
const LATE_US: u64 = 1_000_000;

/// How long the others may need to learn that a server hears again.
const SETTLING_US: u64 = 1_500_000;

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that the adapter accepted.
    pub sent: u64,
    /// Messages that it refused with an error.
    pub refused: u64,
    /// Deliveries, each counted once.
    pub delivered: u64,
    /// Deliveries that were owed and are missing.
    pub lost: u64,
    /// Deliveries that arrived twice.
    pub doubled: u64,
    /// Deliveries that took longer than a second.
    pub late: u64,
    /// The longest time in which a receiver got nothing from other servers while load ran.
    pub gap_ms: u64,
    /// Missing deliveries that the promise excludes and that a server reported.
    pub excluded: u64,
    /// The outcome of requests.
    pub requests: Requests,
    /// Messages and requests a second while load ran.
    pub rate: f64,
    /// Lost and doubled deliveries, as text.
    pub details: Vec<String>,
}

/// Everything that a run leaves for the judge.
#[derive(Debug)]
pub struct Evidence {
    /// Its setup.
    pub plan: Plan,
    /// Its pace.
    pub pace: Pace,
    /// Every process.
    pub lives: Vec<Life>,
    /// Times that the promise excludes.
    pub excuses: Vec<Excuse>,
    /// When load began and ended.
    pub load_us: (u64, u64),
}

/// One message that was handed to the adapter.
#[derive(Debug, Clone, Copy)]
struct Sent {
    key: u64,
    at_us: u64,
    refused: Option<Refusal>,
    /// The index of the sender's life.
    life: usize,
}

/// One delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Received {
    key: u64,
    receiver: Receiver,
    at_us: u64,
}

/// Judges a run.
///
/// # Errors
/// When a log cannot be read.
pub fn judge(evidence: &Evidence) -> anyhow::Result<Tally> {
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    let mut requests = requests::Counter::default();
    let mut gaps = gaps::Gaps::new(evidence);
    for (life, it) in evidence.lives.iter().enumerate() {
        for Record { event, key, at_us } in record::read(&it.log)? {
            let mut note = |refused| {
                sent.push(Sent {
                    key,
                    at_us,
                    refused,
                    life,
                });
            };
            match event {
                Event::Accepted => note(None),
                Event::Refused(why) => note(Some(why)),
                Event::Received(who) => {
                    gaps.note(life, who, key, at_us);
                    received.push(Received {
                        key,
                        receiver: Receiver { life, who },
                        at_us,
                    });
                }
                other => requests.note(life, key, at_us, other),
            }
        }
    }
    sent.sort_unstable_by_key(|sent| sent.key);
    received.sort_unstable();
    let mut tally = Tally {
        gap_ms: gaps.longest_ms(),
        requests: requests.count(evidence),
        ..Tally::default()
    };
    Comparison::new(evidence).run(&sent, &received, &mut tally);
    tally.details.extend(requests.lines(evidence));
    let load_s = (evidence.load_us.1 - evidence.load_us.0) as f64 / 1e6;
    tally.rate = (tally.sent + tally.refused + tally.requests.asked) as f64 / load_s;
    Ok(tally)
}

struct Comparison<'a> {
    evidence: &'a Evidence,
    expected: Expected,
    fates: Fates,
}

impl<'a> Comparison<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        Self {
            evidence,
            expected: Expected::new(evidence),
            fates: Fates::default(),
        }
    }

    fn run(mut self, sent: &[Sent], received: &[Received], tally: &mut Tally) {
        let mut rest = received;
        let mut expected = Vec::new();
        for sent in sent {
            match sent.refused {
                None => tally.sent += 1,
                Some(_) => tally.refused += 1,
            }
            let before = rest.partition_point(|received| received.key < sent.key);
            self.count_unsent(&rest[..before], tally);
            rest = &rest[before..];
            let (deliveries, others) = rest.split_at(rest.partition_point(|received| received.key == sent.key));
            rest = others;
            self.count(sent, deliveries, tally);
            if sent.refused == Some(Refusal::Nobody) {
                continue;
            }
            self.expected.of(sent.key, sent.at_us, sent.life, &mut expected);
            for &receiver in &expected {
                if deliveries
                    .binary_search_by_key(&receiver, |received| received.receiver)
                    .is_err()
                {
                    self.missing(sent, receiver, tally);
                }
            }
        }
        self.count_unsent(rest, tally);
        tally.details = self.fates.lines(self.evidence.load_us.0);
    }

    /// Counts the deliveries of one message.
    fn count(&mut self, sent: &Sent, deliveries: &[Received], tally: &mut Tally) {
        for (index, received) in deliveries.iter().enumerate() {
            if index > 0 && deliveries[index - 1].receiver == received.receiver {
                tally.doubled += 1;
                self.fates.note("doubled", sent, received.receiver.life, self.evidence);
                continue;
            }
            tally.delivered += 1;
            if received.at_us.saturating_sub(sent.at_us) > LATE_US {
                tally.late += 1;
            }
        }
    }

    /// Counts the deliveries of messages whose sender was killed before it logged them.
    fn count_unsent(&self, received: &[Received], tally: &mut Tally) {
        let doubled = received
            .windows(2)
            .filter(|pair| (pair[0].key, pair[0].receiver) == (pair[1].key, pair[1].receiver));
        let doubled = doubled.count() as u64;
        tally.doubled += doubled;
        tally.delivered += received.len() as u64 - doubled;
    }

    fn missing(&mut self, sent: &Sent, receiver: Receiver, tally: &mut Tally) {
        let [one, other] = [sent.life, receiver.life];
        let excused = [one, other].iter().any(|&life| self.is_excused(life, sent.at_us));
        let reported = sent.refused.is_some() || self.is_reported(one, other, sent.at_us);
        if excused && reported {
            tally.excluded += 1;
            return;
        }
        tally.lost += 1;
        let how = match (excused, sent.refused) {
            (true, _) => "lost, excluded but not reported",
            (false, Some(_)) => "refused with an error",
            (false, None) => "lost",
        };
        self.fates.note(how, sent, receiver.life, self.evidence);
    }

    /// Whether the promise excludes this server at this time, according to the script.
    fn is_excused(&self, life: usize, at_us: u64) -> bool {
        let slack = self.evidence.pace.slack().as_micros() as u64;
        let server = self.evidence.lives[life].server;
        let mut excuses = self.evidence.excuses.iter().filter(|excuse| excuse.server == server);
        excuses.any(|excuse| {
            (excuse.from_us.saturating_sub(slack)..=excuse.until_us.saturating_add(slack)).contains(&at_us)
        })
    }

    /// Whether the receiver reported that it may have missed what was sent at this time, or the sender that this may not
    /// have reached everyone.
    fn is_reported(&self, sender: usize, receiver: usize, at_us: u64) -> bool {
        let pace = &self.evidence.pace;
        let (slack_us, window_us) = (pace.slack().as_micros() as u64, pace.window().as_micros() as u64);
        let within =
            |lapse: &Lapse, until_us: u64| (lapse.from_us.saturating_sub(slack_us)..=until_us).contains(&at_us);
        let of = |life: usize| self.evidence.lives[life].reported.lapses.iter();
        // A message sent less than the window before the receiver was back must still arrive.
        let again_us = |lapse: &Lapse| lapse.until_us.saturating_sub(window_us) + SETTLING_US;
        let missed = of(receiver).any(|lapse| lapse.concerns_receiving() && within(lapse, again_us(lapse)));
        missed || of(sender).any(|lapse| !lapse.concerns_receiving() && within(lapse, lapse.until_us + slack_us))
    }
}

/// The server of each process, by the process's number.
fn servers_of(lives: &[Life]) -> HashMap<u16, usize> {
    lives.iter().map(|life| (life.process, life.server)).collect()
}
