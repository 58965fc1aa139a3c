//! A line per second on stderr while a run goes on.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use super::shared::Shared;
use crate::measure::clock::SECOND;

/// Prints at most one line per second, if enabled.
#[derive(Debug)]
pub(super) struct Progress {
    wanted: bool,
    last: u64,
    delivered: u64,
}

impl Progress {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            last: 0,
            delivered: 0,
        }
    }

    pub(super) fn show(&mut self, phase: &str, shared: &Shared) {
        let now = shared.clock.now();
        let passed = now.saturating_sub(self.last);
        if !self.wanted || passed < SECOND {
            return;
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let delivered = count(&shared.delivered);
        let rate = delivered.saturating_sub(self.delivered) * 1_000 / (passed / 1_000_000).max(1);
        // The run continues if stderr cannot be written.
        let _ = writeln!(
            io::stderr(),
            "{:7.1} s  {phase:<10}  ready {}  sent {}  delivered {delivered} ({rate}/s)  ended {}",
            now as f64 / SECOND as f64,
            count(&shared.ready),
            count(&shared.sent),
            shared.ends().values().sum::<u64>(),
        );
        (self.last, self.delivered) = (now, delivered);
    }
}
