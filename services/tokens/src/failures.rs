//! Addresses whose clients fail to authenticate: each may fail only so often, so that its attempts do not use up the
//! connections that all clients share. All addresses of one subscriber count as one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wsmesh_bootstrap::http::subscriber;

use super::meter::{Meter, Rate};

/// One address may take this part of all connections by failing: a tenth.
const PART: u32 = 10;

/// An address may fail this often per second in any case.
const AT_LEAST: u32 = 10;

/// Most addresses that are remembered. Beyond that, new ones are not, until others have not failed for a while.
const MOST: usize = 16 * 1024;

/// How often addresses are dropped that have not failed for a while.
const REST: Duration = Duration::from_secs(1);

/// Counts failures. Shared by all threads.
#[derive(Debug)]
pub struct Failures {
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
    /// For this many connections per second from all addresses; 0: no limit.
    pub fn new(accept_rate: u32) -> Self {
        let of_one = (accept_rate / PART).max(AT_LEAST);
        Self::of(Rate::new(of_one, of_one).filter(|_| accept_rate > 0))
    }

    /// So many failures of each address; none: no limit.
    pub fn of(rate: Option<Rate>) -> Self {
        Self {
            rate,
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }

    /// Whether this address may try. An unknown address always may.
    ///
    /// # Errors
    /// How long it must wait.
    pub fn may_try(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        let (Some(rate), Some(address)) = (self.rate, address.map(subscriber)) else {
            return Ok(());
        };
        let now = self.started.elapsed();
        match self.seen.lock().addresses.get(&address) {
            Some(meter) if !meter.allows(rate, now) => Err(rate.wait()),
            _ => Ok(()),
        }
    }

    /// A client of this address has failed.
    pub fn count(&self, address: Option<IpAddr>) {
        let (Some(rate), Some(address)) = (self.rate, address.map(subscriber)) else {
            return;
        };
        let now = self.started.elapsed();
        let mut seen = self.seen.lock();
        if seen.addresses.len() >= MOST && now >= seen.tidied + REST {
            seen.tidied = now;
            seen.addresses.retain(|_, meter| !meter.is_full(now));
        }
        if seen.addresses.len() < MOST || seen.addresses.contains_key(&address) {
            seen.addresses.entry(address).or_default().take(rate, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn an_address_that_fails_too_often_may_not_try_for_a_while_and_others_may() {
        let failures = Failures::new(200);
        for _ in 0..20 {
            assert_eq!(failures.may_try(address(1)), Ok(()));
            failures.count(address(1));
        }
        // Time passes meanwhile.
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
    fn addresses_of_one_subscriber_fail_together() {
        let failures = Failures::new(100);
        let address = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, last]));
        for last in 0..20 {
            failures.count(address(last));
        }
        assert!(failures.may_try(address(99)).is_err());
    }

    #[test]
    fn the_number_of_remembered_addresses_is_bounded() {
        let failures = Failures::new(10);
        for number in 0..MOST as u32 + 10 {
            failures.count(address(number));
        }
        assert_eq!(failures.seen.lock().addresses.len(), MOST);
    }
}
