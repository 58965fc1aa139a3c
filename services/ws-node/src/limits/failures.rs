//! Addresses from which nobody proves who they are: each may fail only so often, so that what it tries does not use up how
//! many connections may come from everybody.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::meter::{Meter, Rate};

/// The part of all connections that may come which one address may take by failing: a tenth.
const PART: u32 = 10;

/// An address may fail so often in a second in any case.
const AT_LEAST: u32 = 10;

/// Addresses that are remembered. Beyond that, new ones are not until others have rested.
const MOST: usize = 16 * 1024;

/// How often those are looked for that have rested.
const REST: Duration = Duration::from_secs(1);

/// Counts who failed. Shared by all threads; touched by every upgrade.
#[derive(Debug)]
pub(crate) struct Failures {
    rate: Option<Rate>,
    started: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    addresses: HashMap<IpAddr, Meter>,
    tidied: Duration,
}

impl Failures {
    /// For so many connections a second from everybody; 0: no limit.
    pub(crate) fn new(accept_rate: u32) -> Self {
        let of_one = (accept_rate / PART).max(AT_LEAST);
        Self {
            rate: Rate::new(of_one, of_one).filter(|_| accept_rate > 0),
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }

    /// Whether this address may try; if not, how long it is to wait. One that is not known always may.
    pub(crate) fn may_try(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let (Some(rate), Some(address)) = (self.rate, address) else {
            return Ok(());
        };
        let now = self.started.elapsed();
        match self.seen().addresses.get(&address) {
            Some(meter) if !meter.allows(rate, now) => Err(rate.wait()),
            _ => Ok(()),
        }
    }

    /// Somebody of this address has failed.
    pub(crate) fn count(&self, address: Option<IpAddr>) {
        let (Some(rate), Some(address)) = (self.rate, address) else {
            return;
        };
        let now = self.started.elapsed();
        let mut seen = self.seen();
        if seen.addresses.len() >= MOST && now >= seen.tidied + REST {
            seen.tidied = now;
            seen.addresses.retain(|_, meter| !meter.is_full(now));
        }
        if seen.addresses.len() < MOST || seen.addresses.contains_key(&address) {
            seen.addresses.entry(address).or_default().take(rate, now);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn who_fails_too_often_may_not_try_for_a_while_and_others_may() {
        let failures = Failures::new(200);
        for _ in 0..20 {
            assert_eq!(failures.may_try(address(1)), Ok(()));
            failures.count(address(1));
        }
        // The clock goes on meanwhile.
        failures.count(address(1));
        assert_eq!(failures.may_try(address(1)), Err(Duration::from_millis(50)));
        assert_eq!((failures.may_try(address(2)), failures.may_try(None)), (Ok(()), Ok(())));
        let unlimited = Failures::new(0);
        for _ in 0..100 {
            unlimited.count(address(1));
        }
        assert_eq!(unlimited.may_try(address(1)), Ok(()));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_have_a_place() {
        let failures = Failures::new(10);
        for number in 0..MOST as u32 + 10 {
            failures.count(address(number));
        }
        assert_eq!(failures.seen().addresses.len(), MOST);
    }
}
