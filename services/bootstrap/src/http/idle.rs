//! Idle connections: those that wait for a request, the first or a further one. Their number is bounded, and every new
//! connection is taken: if there are too many, the address with the most idle connections loses the one that has waited
//! longest. So a peer that opens connections and sends nothing blocks only itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// The idle connections of a port.
#[derive(Debug)]
pub(super) struct Idle {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many connections have arrived so far.
    arrivals: u64,
    count: usize,
    /// The connections of each origin by order of arrival, each with the sender that evicts it.
    seats: HashMap<Origin, BTreeMap<u64, oneshot::Sender<()>>>,
    /// The last group loses a connection next.
    groups: BTreeSet<Group>,
}

/// Where a connection comes from: an address, or unknown and counted alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Origin {
    Address(IpAddr),
    Apart(u64),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    size: usize,
    first_arrival: Reverse<u64>,
    origin: Origin,
}

/// The seat of one connection, until its request has arrived.
#[derive(Debug)]
pub(super) struct Seat {
    idle: Arc<Idle>,
    origin: Origin,
    arrival: u64,
}

/// Resolves when the seat is needed for another connection.
#[derive(Debug)]
pub(super) struct Eviction(oneshot::Receiver<()>);

impl Idle {
    /// Holds at most `most` connections in all and `most_of_one` of one address (0: no limit of its own).
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one: if most_of_one == 0 { most } else { most_of_one },
            inside: Mutex::default(),
        })
    }

    /// Takes a seat; another connection may be evicted for it. Without an address only the limit for all applies.
    pub(super) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> (Seat, Eviction) {
        let mut inside = self.inside();
        inside.arrivals += 1;
        let arrival = inside.arrivals;
        let origin = address.map_or(Origin::Apart(arrival), Origin::Address);
        let of_one = inside.seats.get(&origin).map_or(0, BTreeMap::len);
        let crowded = if of_one >= self.most_of_one {
            Some(origin)
        } else if inside.count >= self.most {
            inside.groups.last().map(|group| group.origin)
        } else {
            None
        };
        if let Some(crowded) = crowded {
            inside.evict_first(crowded);
        }
        let (evict, evicted) = oneshot::channel();
        inside.change(origin, |seats| _ = seats.insert(arrival, evict));
        let seat = Seat {
            idle: Arc::clone(self),
            origin,
            arrival,
        };
        (seat, Eviction(evicted))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl Inside {
    fn evict_first(&mut self, origin: Origin) {
        self.change(origin, |seats| {
            if let Some((_, evict)) = seats.pop_first() {
                let _ended_already = evict.send(());
            }
        });
    }

    /// Changes the seats of one origin and updates the counts.
    fn change(&mut self, origin: Origin, change: impl FnOnce(&mut BTreeMap<u64, oneshot::Sender<()>>)) {
        let seats = self.seats.entry(origin).or_default();
        let before = Group::of(origin, seats);
        change(seats);
        let after = Group::of(origin, seats);
        if after.is_none() {
            self.seats.remove(&origin);
        }
        if let Some(group) = before {
            self.count -= group.size;
            self.groups.remove(&group);
        }
        if let Some(group) = after {
            self.count += group.size;
            self.groups.insert(group);
        }
    }
}

impl Group {
    fn of(origin: Origin, seats: &BTreeMap<u64, oneshot::Sender<()>>) -> Option<Self> {
        let (first_arrival, _) = seats.first_key_value()?;
        Some(Self {
            size: seats.len(),
            first_arrival: Reverse(*first_arrival),
            origin,
        })
    }
}

impl Eviction {
    /// Ready when the connection is evicted. Must not be polled again after that, nor once the seat is dropped.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inside = self.idle.inside();
        inside.change(self.origin, |seats| _ = seats.remove(&self.arrival));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn is_evicted((_, eviction): &mut (Seat, Eviction)) -> bool {
        eviction.0.try_recv() == Ok(())
    }

    #[test]
    fn if_all_seats_are_taken_the_largest_group_loses_its_oldest_connection() {
        let idle = Idle::new(4, 0);
        let first = [address(1), address(2), address(2), None];
        let mut seats: Vec<_> = first.map(|address| idle.enter(address)).into();
        seats.push(idle.enter(address(3)));
        let evicted: Vec<bool> = seats.iter_mut().map(is_evicted).collect();
        assert_eq!(evicted, [false, true, false, false, false]);
        // Now every group has one connection: the oldest of all is evicted.
        seats.push(idle.enter(None));
        let evicted: Vec<bool> = seats.iter_mut().map(is_evicted).collect();
        assert_eq!(evicted, [true, false, false, false, false, false]);
    }

    #[test]
    fn an_address_at_its_limit_evicts_its_own_oldest_connection() {
        let idle = Idle::new(100, 2);
        let mut seats = [address(9), address(1), address(1), address(1)].map(|address| idle.enter(address));
        assert_eq!(seats.each_mut().map(is_evicted), [false, true, false, false]);
    }

    #[test]
    fn a_dropped_seat_is_free_again() {
        let idle = Idle::new(2, 0);
        let mut seats = [idle.enter(address(1)), idle.enter(address(1))];
        drop(idle.enter(None));
        assert_eq!(seats.each_mut().map(is_evicted), [true, false], "all seats were taken");
        drop(seats);
        let (_seat, mut eviction) = idle.enter(address(2));
        assert!(eviction.0.try_recv().is_err());
        let inside = idle.inside();
        assert_eq!((inside.count, inside.seats.len(), inside.groups.len()), (1, 1, 1));
    }
}
