//! Connections that come, stay for a while and go, again and again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::measure::latency::{Latencies, LatencySummary};
use crate::net::Net;

/// The connections that come and go of one worker, and their counts.
#[derive(Debug, Default)]
pub struct Churn {
    leaving: BinaryHeap<Reverse<(u64, usize)>>,
    /// Connections that became members of their room.
    pub joined: u64,
    /// Connections that left by themselves.
    pub left: u64,
    /// From the start of the attempt until the reply to the join.
    pub latencies: Latencies,
}

impl Churn {
    /// This connection is in its room now, and leaves after `stay_ns`.
    pub fn joined(&mut self, net: &Net, index: usize, now: u64, stay_ns: u64) {
        self.joined += 1;
        self.latencies.record(now.saturating_sub(net.since(index)));
        self.leaving.push(Reverse((now + stay_ns, index)));
    }

    /// A connection whose time is over; the caller must end it.
    pub fn next_to_leave(&mut self, net: &Net, now: u64) -> Option<usize> {
        while self.next_leave()? <= now {
            let Reverse((_, index)) = self.leaving.pop()?;
            // The server may have ended it meanwhile, and it is reconnecting.
            if net.is_open(index) {
                self.left += 1;
                return Some(index);
            }
        }
        None
    }

    /// When the next one leaves, ns.
    #[must_use]
    pub fn next_leave(&self) -> Option<u64> {
        self.leaving.peek().map(|Reverse((due, _))| *due)
    }

    /// Adds the counts of another worker.
    pub fn add(&mut self, other: &Self) {
        self.joined += other.joined;
        self.left += other.left;
        self.latencies.add(&other.latencies);
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> ChurnReport {
        ChurnReport {
            joined: self.joined,
            left: self.left,
            until_joined: self.latencies.summary(),
        }
    }
}

/// The report on connections that come and go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChurnReport {
    /// Connections that became members of their room.
    pub joined: u64,
    /// Connections that left by themselves.
    pub left: u64,
    /// From the start of the attempt until the reply to the join.
    pub until_joined: Option<LatencySummary>,
}
