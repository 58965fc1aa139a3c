//! The story of a run: a line on stderr for each thing that happens.

use std::io::{self, Write};
use std::time::Instant;

/// The story of one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    scenario: &'static str,
    start: Instant,
}

impl Story {
    /// Creates one.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            start: Instant::now(),
        }
    }

    /// The next line.
    pub(crate) fn tell(&self, what: &str) {
        // The run continues if stderr cannot be written.
        let _ = writeln!(
            io::stderr(),
            "{:<18} {:7.1} s  {what}",
            self.scenario,
            self.start.elapsed().as_secs_f64()
        );
    }
}
