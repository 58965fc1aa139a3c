//! The lobby: connections that have not upgraded yet. It is bounded and takes every newcomer: when it is full, the one gives
//! way that waits for longest, of the address that has most of them; so who opens connections and says nothing keeps only
//! itself out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who is in it. Touched when a connection comes and when it upgrades or ends.
#[derive(Debug)]
pub(crate) struct Lobby {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many have come.
    comers: u64,
    count: usize,
    /// Who came from where, by the order in which they came; dropping the sender sends one away.
    seats: HashMap<Origin, BTreeMap<u64, oneshot::Sender<()>>>,
    /// The last is who gives way next.
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

/// The seat of one connection.
#[derive(Debug)]
pub(crate) struct Seat {
    lobby: Arc<Lobby>,
    origin: Origin,
    comer: u64,
    kept: oneshot::Receiver<()>,
}

impl Lobby {
    /// For at most so many connections in all and of one address (0: as many as in all).
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_one: if most_of_one == 0 { most } else { most_of_one },
            inside: Mutex::default(),
        })
    }

    /// Takes a seat; whether somebody else had to give way for it. Without an address it counts only in all.
    pub(crate) fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> (Seat, bool) {
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
        let (keep, kept) = oneshot::channel();
        inside.change(origin, |seats| _ = seats.insert(comer, keep));
        let seat = Seat {
            lobby: Arc::clone(self),
            origin,
            comer,
            kept,
        };
        (seat, crowded.is_some())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn send_first_away(&mut self, origin: Origin) {
        self.change(origin, |seats| _ = seats.pop_first());
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

impl Seat {
    /// Resolves when this connection is to give way to another.
    pub(crate) async fn given_up(&mut self) {
        let _the_sender_is_only_dropped = (&mut self.kept).await;
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

    fn is_given_up(seat: &mut Seat) -> bool {
        seat.kept.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn when_it_is_full_the_first_of_the_largest_crowd_gives_way() {
        let lobby = Lobby::new(4, 0);
        let mut seats: Vec<Seat> = [address(1), address(2), address(2), None]
            .map(|address| lobby.enter(address).0)
            .into();
        let (newcomer, for_another) = lobby.enter(address(3));
        seats.push(newcomer);
        assert!(for_another);
        let given_up: Vec<bool> = seats.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [false, true, false, false, false]);
        // Now every crowd is of one: the first of all goes.
        seats.push(lobby.enter(None).0);
        let given_up: Vec<bool> = seats.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [true, true, false, false, false, false]);
    }

    #[test]
    fn an_address_has_its_share_and_makes_room_by_itself() {
        let lobby = Lobby::new(100, 2);
        let mut seats: Vec<Seat> = [address(9), address(1), address(1), address(1)]
            .map(|address| lobby.enter(address).0)
            .into();
        let given_up: Vec<bool> = seats.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [false, true, false, false]);
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_upgrades_or_ends() {
        let lobby = Lobby::new(2, 0);
        let seats = [lobby.enter(address(1)).0, lobby.enter(address(1)).0];
        assert!(lobby.enter(None).1, "full");
        drop(seats);
        let (_kept, for_another) = lobby.enter(address(2));
        assert!(!for_another);
        let inside = lobby.inside();
        assert_eq!((inside.count, inside.seats.len(), inside.crowds.len()), (1, 1, 1));
    }
}
