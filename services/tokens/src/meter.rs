//! A token bucket in one number (the generic cell rate algorithm): a rate per second, and a burst.

use std::time::Duration;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time that one takes.
    each_ns: u64,
    /// Time that may be used ahead.
    burst_ns: u64,
}

impl Rate {
    /// This many per second, and `burst` at once; `None` for 0 per second, which means no limit.
    #[inline]
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let each_ns = 1_000_000_000_u64.checked_div(u64::from(per_second))?.max(1);
        Some(Self {
            each_ns,
            burst_ns: each_ns * u64::from(burst.max(1)),
        })
    }

    /// How long until one more is allowed after a refusal, at the latest.
    #[inline]
    pub fn wait(self) -> Duration {
        Duration::from_nanos(self.each_ns)
    }
}

/// When the bucket will be full again, in nanoseconds after some start; 0: it is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter(u64);

impl Meter {
    /// Takes one, if there is one; `now` is the time since the same start.
    #[inline]
    pub fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let allowed = self.allows(rate, now);
        if allowed {
            self.0 = self.0.max(nanos(now)) + rate.each_ns;
        }
        allowed
    }

    /// Whether there is one to take.
    #[inline]
    pub fn allows(self, rate: Rate, now: Duration) -> bool {
        let now = nanos(now);
        self.0.max(now) + rate.each_ns <= now + rate.burst_ns
    }

    /// Whether everything that was taken is there again.
    #[inline]
    pub fn is_full(self, now: Duration) -> bool {
        self.0 <= nanos(now)
    }
}

fn nanos(now: Duration) -> u64 {
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (rate, mut meter) = (Rate::new(10, 3).expect("a limit"), Meter::default());
        let mut taken = |ms| meter.take(rate, Duration::from_millis(ms));
        assert_eq!([0, 0, 0, 0].map(&mut taken), [true, true, true, false]);
        assert_eq!([99, 100, 101].map(&mut taken), [false, true, false]);
        // After a rest the burst is there again, and no more than that.
        assert_eq!([9000; 4].map(&mut taken), [true, true, true, false]);
    }

    #[test]
    fn a_rate_of_zero_means_no_limit_and_a_burst_is_at_least_one() {
        assert_eq!(Rate::new(0, 5), None);
        let (rate, mut meter) = (Rate::new(1, 0).expect("a limit"), Meter::default());
        assert!(meter.take(rate, Duration::ZERO) && !meter.take(rate, Duration::ZERO));
        assert_eq!(rate.wait(), Duration::from_secs(1));
    }
}
