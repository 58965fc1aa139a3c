//! Connections that come, stay for a while and go, again and again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::measure::latency::{Latencies, LatencySummary};
use crate::net::Net;

/// Who leaves when, and what came of it. One per worker.
#[derive(Debug, Default)]
pub struct Churn {
    leaving: BinaryHeap<Reverse<(u64, usize)>>,
    /// Connections that became members of their room.
    pub joined: u64,
    /// Those that left by themselves.
    pub left: u64,
    /// From the beginning of the attempt until the reply to the join.
    pub latencies: Latencies,
}

impl Churn {
    /// This one is in its room now, and leaves after `stay_ns`.
    pub fn joined(&mut self, net: &Net, index: usize, now: u64, stay_ns: u64) {
        self.joined += 1;
        self.latencies.record(now.saturating_sub(net.since(index)));
        self.leaving.push(Reverse((now + stay_ns, index)));
    }

    /// One whose time is over; whoever asks ends it.
    pub fn next_to_leave(&mut self, net: &Net, now: u64) -> Option<usize> {
        while self.next_leave()? <= now {
            let Reverse((_, index)) = self.leaving.pop()?;
            // It may have been ended by the server meanwhile, and be on its way back.
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

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.joined += other.joined;
        self.left += other.left;
        self.latencies.add(&other.latencies);
    }

    /// What is reported.
    #[must_use]
    pub fn report(&self) -> ChurnReport {
        ChurnReport {
            joined: self.joined,
            left: self.left,
            until_joined: self.latencies.summary(),
        }
    }
}

/// What came of connections that come and go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChurnReport {
    /// Connections that became members of their room.
    pub joined: u64,
    /// Those that left by themselves.
    pub left: u64,
    /// From the beginning of the attempt until the reply to the join.
    pub until_joined: Option<LatencySummary>,
}
