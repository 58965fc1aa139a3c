//! A rule in use, and when to log that its events reach no server.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Rule;

/// How often it is logged that no server handles a rule's events.
const UNSERVED_EVERY: Duration = Duration::from_secs(30);

/// A rule in use.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) rule: Rule,
    unserved: Mutex<Unserved>,
}

/// Events that no server handled.
#[derive(Debug, Default)]
struct Unserved {
    /// How many since the last log line.
    events: u64,
    logged: Option<Instant>,
}

impl Unserved {
    /// Counts one more. Returns the number of events to log, if it is time to.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.events += 1;
        let quiet = self
            .logged
            .is_some_and(|logged| now.saturating_duration_since(logged) < UNSERVED_EVERY);
        (!quiet).then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.events)
        })
    }
}

impl Forwarding {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            unserved: Mutex::default(),
        }
    }

    /// No server handled an event. Returns the number of such events to log, if it is time to.
    pub(crate) fn count_unserved(&self) -> Option<u64> {
        self.unserved.lock().count(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unserved_event_is_logged_and_then_their_number_every_half_minute() {
        let (mut unserved, start) = (Unserved::default(), Instant::now());
        assert_eq!(unserved.count(start), Some(1));
        assert_eq!(unserved.count(start + UNSERVED_EVERY / 2), None);
        assert_eq!(unserved.count(start + UNSERVED_EVERY / 2), None);
        assert_eq!(unserved.count(start + UNSERVED_EVERY), Some(3));
        assert_eq!(unserved.count(start + UNSERVED_EVERY), None);
    }
}
