//! The door: how many connections there may be, in all and from one address, and how fast they may come.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wsmesh_bootstrap::http::subscriber;

use super::{Meter, Rate};

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// This server has the most connections that it may have.
    Full,
    /// This address has the most connections that one address may have.
    Crowded,
    /// Too many came at once: try again after this time.
    Rushed(Duration),
}

/// Counts the connections. Shared by all threads; used when a connection comes and when it goes.
#[derive(Debug)]
pub(crate) struct Door {
    most: usize,
    most_of_one: usize,
    rate: Option<Rate>,
    opened: Instant,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    count: usize,
    of_one: HashMap<IpAddr, usize>,
    meter: Meter,
}

/// Held for one connection, from its upgrade to its end.
#[derive(Debug)]
pub(crate) struct Permit {
    door: Arc<Door>,
    address: Option<IpAddr>,
}

impl Door {
    /// For at most this many connections in all and from one address (0: no limit), at this rate.
    pub(crate) fn new(most: usize, most_of_one: usize, rate: Option<Rate>) -> Arc<Self> {
        let unlimited = |number| if number == 0 { usize::MAX } else { number };
        Arc::new(Self {
            most: unlimited(most),
            most_of_one: unlimited(most_of_one),
            rate,
            opened: Instant::now(),
            inside: Mutex::default(),
        })
    }

    /// A permit for a connection, or why there is none. Connections from unknown addresses count only in all; all addresses of one
    /// subscriber count as one.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Turned> {
        let address = address.filter(|_| self.most_of_one < usize::MAX).map(subscriber);
        let mut inside = self.inside.lock();
        if inside.count >= self.most {
            return Err(Turned::Full);
        }
        let of_one = address.map_or(0, |address| inside.of_one.get(&address).copied().unwrap_or(0));
        if of_one >= self.most_of_one {
            return Err(Turned::Crowded);
        }
        if let Some(rate) = self.rate
            && !inside.meter.take(rate, self.opened.elapsed())
        {
            return Err(Turned::Rushed(rate.wait()));
        }
        inside.count += 1;
        if let Some(address) = address {
            inside.of_one.insert(address, of_one + 1);
        }
        Ok(Permit {
            door: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inside = self.door.inside.lock();
        inside.count -= 1;
        if let Some(address) = self.address
            && let Some(count) = inside.of_one.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                inside.of_one.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_permit_is_free_again_when_its_connection_ends() {
        let door = Door::new(3, 2, None);
        let first = door.enter(address(1)).expect("free");
        let _second = door.enter(address(1)).expect("free");
        assert_eq!(door.enter(address(1)).err(), Some(Turned::Crowded));
        let _third = door.enter(address(2)).expect("free");
        assert_eq!(door.enter(None).err(), Some(Turned::Full));
        drop(first);
        let _again = door.enter(address(1)).expect("free");
        assert_eq!(door.inside.lock().of_one.len(), 2);
    }

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        let door = Door::new(3, 1, None);
        let enter = |address: &str| door.enter(Some(address.parse().expect("an address")));
        let _first = enter("2001:db8:1:2:3::7").expect("free");
        assert_eq!(enter("2001:db8:1:2::8").err(), Some(Turned::Crowded));
        assert!(enter("2001:db8:1:3::7").is_ok(), "another subscriber");
    }

    #[test]
    fn a_connection_that_is_turned_away_counts_nowhere() {
        let rate = Rate::new(1, 2);
        let door = Door::new(0, 1, rate);
        let first = door.enter(address(1)).expect("free");
        assert_eq!(door.enter(address(1)).err(), Some(Turned::Crowded));
        let second = door.enter(address(2)).expect("a burst of two");
        assert_eq!(
            door.enter(address(3)).err(),
            Some(Turned::Rushed(Duration::from_secs(1)))
        );
        drop((first, second));
        let inside = door.inside.lock();
        assert_eq!((inside.count, inside.of_one.len()), (0, 0));
    }
}
