//! Counts the lines of the log: those that were written, by level, and those that were held back to be summed up.
//!
//! One set of counters for the whole process, as it has one log. Counting takes no lock.

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Opts};
use tracing::Level;

/// Of this process.
static LINES: LazyLock<Option<Lines>> = LazyLock::new(|| Lines::new().ok());

/// The counters. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    written: IntCounterVec,
    /// Of `written`, so that a line costs no search: error, warn, info, debug, trace.
    by_level: [IntCounter; 5],
    summed: IntCounter,
}

impl Lines {
    fn new() -> Result<Self, prometheus::Error> {
        let about = "Lines that this process logged.";
        let written = IntCounterVec::new(Opts::new("wsmesh_log_lines_total", about), &["level"])?;
        let by_level = ["error", "warn", "info", "debug", "trace"].map(|level| written.with_label_values(&[level]));
        let about = "Lines that were held back, as their place in the code logged many within a minute. One line per minute says how many.";
        let summed = IntCounter::new("wsmesh_log_lines_summed_total", about)?;
        Ok(Self {
            written,
            by_level,
            summed,
        })
    }

    /// Those of the process.
    pub(super) fn of_this_process() -> Option<Self> {
        LINES.clone()
    }

    pub(super) fn count(&self, level: Level) {
        let index = match level {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            _ => 4,
        };
        self.by_level[index].inc();
    }

    pub(super) fn count_summed(&self) {
        self.summed.inc();
    }
}

/// What `/metrics` shows about the log of this process.
pub(crate) fn metrics() -> Vec<MetricFamily> {
    let lines = LINES.iter();
    lines
        .flat_map(|lines| [lines.written.collect(), lines.summed.collect()].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_level() {
        let lines = Lines::new().expect("valid names");
        for level in [Level::ERROR, Level::WARN, Level::WARN, Level::TRACE] {
            lines.count(level);
        }
        let of = |level| lines.written.with_label_values(&[level]).get();
        assert_eq!(["error", "warn", "info", "debug", "trace"].map(of), [1, 2, 0, 0, 1]);
    }
}
