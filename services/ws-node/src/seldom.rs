//! Logs something that may happen often: its first time, and then its number now and then.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Something that may happen often.
#[derive(Debug)]
pub(crate) struct Seldom {
    every: Duration,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// How many times since the last log line.
    times: u64,
    logged: Option<Instant>,
}

impl Seldom {
    /// Something that is logged this often, at most.
    pub(crate) fn every(every: Duration) -> Self {
        Self {
            every,
            counted: Mutex::default(),
        }
    }

    /// It happened. Returns how often since it was logged last, if it is time to log it.
    pub(crate) fn count(&self) -> Option<u64> {
        self.counted.lock().count(self.every, Instant::now())
    }
}

impl Counted {
    fn count(&mut self, every: Duration, now: Instant) -> Option<u64> {
        self.times += 1;
        let quiet = self
            .logged
            .is_some_and(|logged| now.saturating_duration_since(logged) < every);
        (!quiet).then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.times)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_logged_and_then_the_number_now_and_then() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        let every = Duration::from_secs(30);
        assert_eq!(counted.count(every, start), Some(1));
        assert_eq!(counted.count(every, start + every / 2), None);
        assert_eq!(counted.count(every, start + every / 2), None);
        assert_eq!(counted.count(every, start + every), Some(3));
        assert_eq!(counted.count(every, start + every), None);
    }
}
