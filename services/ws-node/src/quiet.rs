//! Trouble that is logged once a minute, with how often it happened, not each time.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the same trouble is logged.
const EVERY: Duration = Duration::from_secs(60);

/// Counts one kind of trouble between two lines of the log.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<Since>);

/// Since the last line.
#[derive(Debug, Default)]
struct Since {
    count: u64,
    logged: Option<Instant>,
}

impl Quiet {
    /// It happened this often. Returns the number to log, if it is time to.
    pub(crate) fn count(&self, times: u64) -> Option<u64> {
        self.0.lock().count(times, Instant::now())
    }
}

impl Since {
    fn count(&mut self, times: u64, now: Instant) -> Option<u64> {
        self.count += times;
        let ago = self.logged.map(|logged| now.saturating_duration_since(logged));
        ago.is_none_or(|ago| ago >= EVERY).then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_is_logged_and_then_the_number_once_a_minute() {
        let (mut since, start) = (Since::default(), Instant::now());
        assert_eq!(since.count(1, start), Some(1));
        assert_eq!(since.count(1, start + EVERY / 2), None);
        assert_eq!(since.count(2, start + EVERY), Some(3));
        assert_eq!(since.count(1, start + EVERY), None);
    }
}
