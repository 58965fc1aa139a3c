//! How long to wait before the next attempt: full jitter, first short, then doubling. A value without a clock.
//!
//! Not `backon`: its back-off knows neither the three fast attempts, nor full jitter from zero, nor a delay given by the server.

use std::time::Duration;

use crate::Options;

/// Counts attempts and computes the wait before each.
#[derive(Debug)]
pub(crate) struct Backoff {
    fast_threshold: u32,
    fast_interval: Duration,
    max_interval: Duration,
    limit: Option<u32>,
    repeat: u32,
}

/// The next attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) repeat: u32,
    pub(crate) delay: Duration,
}

impl Backoff {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            fast_threshold: options.fast_reconnect_threshold,
            fast_interval: options.fast_reconnect_interval,
            max_interval: options.reconnect_max_interval,
            limit: options.repeat_limit,
            repeat: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.repeat = 0;
    }

    /// Attempts since the last reset.
    pub(crate) fn repeat(&self) -> u32 {
        self.repeat
    }

    /// The next attempt, or `None` when the limit is reached. `random` is in 0..1.
    ///
    /// A delay that the server gave is the least; up to a quarter of it is added, because a server may give many clients the
    /// same.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>, random: f64) -> Option<Attempt> {
        if self.limit.is_some_and(|limit| self.repeat >= limit) {
            return None;
        }
        self.repeat = self.repeat.saturating_add(1);
        let delay = match retry_after {
            Some(given) => {
                let given = given.min(self.max_interval);
                given + given.mul_f64(random / 4.0)
            }
            None => self.longest().mul_f64(random),
        };
        Some(Attempt {
            repeat: self.repeat,
            delay,
        })
    }

    fn longest(&self) -> Duration {
        let doublings = self.repeat.saturating_sub(self.fast_threshold).min(31);
        self.fast_interval.saturating_mul(1 << doublings).min(self.max_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(limit: Option<u32>) -> Backoff {
        let mut options = Options::new("ws://host/");
        options.repeat_limit = limit;
        Backoff::new(&options)
    }

    #[test]
    fn waits_are_short_at_first_then_double_up_to_the_longest() {
        let mut backoff = backoff(None);
        let longest: Vec<u64> = (0..12)
            .filter_map(|_| backoff.next(None, 1.0))
            .map(|attempt| attempt.delay.as_secs())
            .collect();
        assert_eq!(longest, [3, 3, 3, 6, 12, 24, 48, 96, 120, 120, 120, 120]);
        backoff.reset();
        assert_eq!(
            backoff.next(None, 0.5).expect("an attempt").delay,
            Duration::from_millis(1500)
        );
    }

    #[test]
    fn even_the_first_wait_is_random_from_zero() {
        assert_eq!(backoff(None).next(None, 0.0).expect("an attempt").delay, Duration::ZERO);
    }

    #[test]
    fn a_delay_of_the_server_is_the_least_and_has_a_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(backoff(None).next(Some(second), 0.0).expect("an attempt").delay, second);
        let most = backoff(None).next(Some(second), 1.0).expect("an attempt").delay;
        assert_eq!(most, Duration::from_millis(1250));
        let year = Duration::from_secs(31_536_000);
        assert_eq!(
            backoff(None).next(Some(year), 0.0).expect("an attempt").delay,
            Duration::from_secs(120)
        );
    }

    #[test]
    fn it_gives_up_at_the_limit_and_never_overflows() {
        let mut limited = backoff(Some(2));
        assert!(limited.next(None, 0.0).is_some() && limited.next(None, 0.0).is_some());
        assert_eq!((limited.next(None, 0.0), limited.repeat()), (None, 2));
        let mut endless = backoff(None);
        endless.repeat = u32::MAX;
        assert_eq!(
            endless.next(None, 1.0).expect("an attempt").delay,
            Duration::from_secs(120)
        );
    }
}
