//! What happens in a run, told line by line on stderr while it happens.

use std::io::{self, Write};
use std::time::Instant;

/// The story of one scenario.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    scenario: &'static str,
    start: Instant,
}

impl Story {
    /// A new one.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            start: Instant::now(),
        }
    }

    /// The next line.
    pub(crate) fn tell(&self, what: &str) {
        // A story that nobody reads goes on all the same.
        let _ = writeln!(
            io::stderr(),
            "{:<18} {:7.1} s  {what}",
            self.scenario,
            self.start.elapsed().as_secs_f64()
        );
    }
}
