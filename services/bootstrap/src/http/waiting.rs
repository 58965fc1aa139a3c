//! The lobby: connections that wait for a request, the first or a further one. It is bounded and takes every newcomer: when
//! it is full, the address with most connections in it loses the one that has waited longest. So a peer that opens
//! connections and sends nothing shuts out only itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// The waiting connections. Changes when a connection comes, and when its request or its end does.
#[derive(Debug)]
pub(super) struct Lobby {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many have come.
    comers: u64,
    count: usize,
    /// The connections of each origin in the order in which they came, each with the way to close it.
    seats: HashMap<Origin, BTreeMap<u64, oneshot::Sender<()>>>,
    /// The last one loses a connection next.
    crowds: BTreeSet<Crowd>,
}

/// Where a connection comes from: an address, or somewhere of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Origin {
    Address(IpAddr),
    Apart(u64),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crowd {
    size: usize,
    first_comer: Reverse<u64>,
    origin: Origin,
}

/// The seat of one connection, until its request has come.
#[derive(Debug)]
pub(super) struct Seat {
    lobby: Arc<Lobby>,
    origin: Origin,
    comer: u64,
}

/// That a seat is needed for another.
#[derive(Debug)]
pub(super) struct GivenUp(oneshot::Receiver<()>);

impl Lobby {
    /// For at most so many connections in all and of one address (0: as many as in all).
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one: if most_of_one == 0 { most } else { most_of_one },
            inside: Mutex::default(),
        })
    }

    /// Takes a seat; another may have to give way for it. Without an address it counts only in all.
    pub(super) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> (Seat, GivenUp) {
        let mut inside = self.inside();
        inside.comers += 1;
        let comer = inside.comers;
        let origin = address.map_or(Origin::Apart(comer), Origin::Address);
        let before_it = inside.seats.get(&origin).map_or(0, BTreeMap::len);
        let crowded = if before_it >= self.most_of_one {
            Some(origin)
        } else if inside.count >= self.most {
            inside.crowds.last().map(|crowd| crowd.origin)
        } else {
            None
        };
        if let Some(crowded) = crowded {
            inside.send_first_away(crowded);
        }
        let (send_away, given_up) = oneshot::channel();
        inside.change(origin, |seats| _ = seats.insert(comer, send_away));
        let seat = Seat {
            lobby: Arc::clone(self),
            origin,
            comer,
        };
        (seat, GivenUp(given_up))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl Inside {
    fn send_first_away(&mut self, origin: Origin) {
        self.change(origin, |seats| {
            if let Some((_, send_away)) = seats.pop_first() {
                let _ended_already = send_away.send(());
            }
        });
    }

    /// Changes who is here from one origin, and keeps count.
    fn change(&mut self, origin: Origin, change: impl FnOnce(&mut BTreeMap<u64, oneshot::Sender<()>>)) {
        let seats = self.seats.entry(origin).or_default();
        let before = Crowd::of(origin, seats);
        change(seats);
        let after = Crowd::of(origin, seats);
        if after.is_none() {
            self.seats.remove(&origin);
        }
        if let Some(crowd) = before {
            self.count -= crowd.size;
            self.crowds.remove(&crowd);
        }
        if let Some(crowd) = after {
            self.count += crowd.size;
            self.crowds.insert(crowd);
        }
    }
}

impl Crowd {
    fn of(origin: Origin, seats: &BTreeMap<u64, oneshot::Sender<()>>) -> Option<Self> {
        let (first_comer, _) = seats.first_key_value()?;
        Some(Self {
            size: seats.len(),
            first_comer: Reverse(*first_comer),
            origin,
        })
    }
}

impl GivenUp {
    /// Ready when the connection is to give way to another; not to be polled again then, nor once its seat is free.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inside = self.lobby.inside();
        inside.change(self.origin, |seats| _ = seats.remove(&self.comer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn is_given_up((_, given_up): &mut (Seat, GivenUp)) -> bool {
        given_up.0.try_recv() == Ok(())
    }

    #[test]
    fn when_it_is_full_the_first_of_the_largest_crowd_gives_way() {
        let lobby = Lobby::new(4, 0);
        let first = [address(1), address(2), address(2), None];
        let mut seats: Vec<_> = first.map(|address| lobby.enter(address)).into();
        seats.push(lobby.enter(address(3)));
        let given_up: Vec<bool> = seats.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [false, true, false, false, false]);
        // Now every crowd is of one: the first of all goes.
        seats.push(lobby.enter(None));
        let given_up: Vec<bool> = seats.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [true, false, false, false, false, false]);
    }

    #[test]
    fn an_address_has_its_share_and_makes_room_by_itself() {
        let lobby = Lobby::new(100, 2);
        let mut seats = [address(9), address(1), address(1), address(1)].map(|address| lobby.enter(address));
        assert_eq!(seats.each_mut().map(is_given_up), [false, true, false, false]);
    }

    #[test]
    fn a_seat_is_free_again_when_a_request_or_the_end_has_come() {
        let lobby = Lobby::new(2, 0);
        let mut seats = [lobby.enter(address(1)), lobby.enter(address(1))];
        drop(lobby.enter(None));
        assert_eq!(seats.each_mut().map(is_given_up), [true, false], "it was full");
        drop(seats);
        let (_seat, mut given_up) = lobby.enter(address(2));
        assert!(given_up.0.try_recv().is_err());
        let inside = lobby.inside();
        assert_eq!((inside.count, inside.seats.len(), inside.crowds.len()), (1, 1, 1));
    }
}
