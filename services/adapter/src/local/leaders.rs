//! The rooms of one stripe that have most members, and those that get most messages. Bounded, and without allocation once they
//! are full.
//!
//! The busiest rooms are found as in "Space-Saving" (Metwally, Agrawal, El Abbadi 2005), on every eighth message of rooms that are
//! not in the table: the room that got least lately makes place for the new one, which takes over its count. The counts are
//! halved every second. So a room that gets more than an eighth of a stripe's messages is in the table after a second or two.
//! They only choose rooms: how many messages a room gets is counted exactly, in its entry.

use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Room;

/// Rooms in each table. There are 64 stripes, and 20 rooms are reported.
const PLACES: usize = 8;
/// One in so many messages of rooms that are not in the table is counted.
const SAMPLED: u32 = 8;
/// How often the counts of messages are halved.
const HALVED_EVERY: Duration = Duration::from_secs(1);

/// The rooms with most members.
#[derive(Debug, Default)]
pub(super) struct Largest {
    rooms: Vec<(Room, usize)>,
    /// A room shrank: another one, which is not in the table, may be larger now.
    is_stale: bool,
}

impl Largest {
    /// A room has this many members now, more than before.
    pub(super) fn grew(&mut self, room: &Room, members: usize) {
        if let Some((_, size)) = self.rooms.iter_mut().find(|(known, _)| known == room) {
            *size = members;
        } else if self.rooms.len() < PLACES {
            self.rooms.push((room.clone(), members));
        } else if let Some(smallest) = self.rooms.iter_mut().min_by_key(|(_, size)| *size)
            && smallest.1 < members
        {
            *smallest = (room.clone(), members);
        }
    }

    /// A room has this many members now, fewer than before; none if it is gone.
    pub(super) fn shrank(&mut self, room: &Room, members: usize) {
        let Some(place) = self.rooms.iter().position(|(known, _)| known == room) else {
            return;
        };
        self.is_stale |= self.rooms.len() == PLACES;
        if members == 0 {
            self.rooms.swap_remove(place);
        } else {
            self.rooms[place].1 = members;
        }
    }

    /// Whether it is worth the time to look at all rooms again.
    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Looks at all rooms again.
    pub(super) fn renew<'a>(&mut self, rooms: impl Iterator<Item = (&'a Room, usize)>) {
        self.rooms.clear();
        self.is_stale = false;
        rooms.for_each(|(room, members)| self.grew(room, members));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Room, usize)> {
        self.rooms.iter().map(|(room, members)| (room, *members))
    }
}

/// The place of a room in [`Busiest`], if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat(u8);

impl Seat {
    pub(super) const NONE: Self = Self(u8::MAX);
}

#[derive(Debug, Default)]
struct Busy {
    room: Option<Room>,
    lately: u32,
}

/// The rooms that get most messages.
#[derive(Debug, Default)]
pub(super) struct Busiest {
    seats: [Busy; PLACES],
    not_counted: u32,
    halved_at: Option<Instant>,
}

impl Busiest {
    /// A message came for the room in this seat. `true`: the room has none, and it should take one.
    pub(super) fn message(&mut self, seat: Seat) -> bool {
        if let Some(busy) = self.seats.get_mut(seat.0 as usize) {
            busy.lately = busy.lately.saturating_add(1);
            return false;
        }
        self.not_counted = self.not_counted.wrapping_add(1);
        self.not_counted.is_multiple_of(SAMPLED)
    }

    /// A room takes the seat of the room that got least lately, which is returned.
    pub(super) fn seat(&mut self, room: &Room) -> (Seat, Option<Room>) {
        let (mut place, mut least) = (0, u32::MAX);
        for (index, busy) in self.seats.iter().enumerate() {
            if busy.lately < least {
                (place, least) = (index, busy.lately);
            }
        }
        let busy = &mut self.seats[place];
        busy.lately = busy.lately.saturating_add(SAMPLED);
        (Seat(place as u8), busy.room.replace(room.clone()))
    }

    /// A room is gone.
    pub(super) fn leave(&mut self, seat: Seat) {
        if let Some(busy) = self.seats.get_mut(seat.0 as usize) {
            *busy = Busy::default();
        }
    }

    /// Forgets what is long ago.
    pub(super) fn halve(&mut self, now: Instant) {
        let since = now.saturating_duration_since(*self.halved_at.get_or_insert(now));
        let times = since.as_secs() / HALVED_EVERY.as_secs();
        if times > 0 {
            let times = u32::try_from(times).unwrap_or(u32::MAX);
            self.seats
                .iter_mut()
                .for_each(|busy| busy.lately = busy.lately.checked_shr(times).unwrap_or(0));
            self.halved_at = Some(now);
        }
    }

    /// The rooms that got messages lately, and how many.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Room, u32)> {
        let taken = self.seats.iter().filter(|busy| busy.lately > 0);
        taken.filter_map(|busy| Some((busy.room.as_ref()?, busy.lately)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: usize) -> Room {
        Room::new("n", number.to_string()).expect("valid")
    }

    fn ids(largest: &Largest) -> Vec<String> {
        let mut rooms: Vec<_> = largest.iter().collect();
        rooms.sort_by_key(|(_, members)| std::cmp::Reverse(*members));
        rooms.into_iter().map(|(room, _)| room.id.to_string()).collect()
    }

    #[test]
    fn the_largest_rooms_are_kept_whatever_the_order_in_which_they_grew() {
        let mut largest = Largest::default();
        for number in (1..50).chain(100..104).chain(50..100) {
            largest.grew(&room(number), number);
        }
        assert_eq!(ids(&largest), ["103", "102", "101", "100", "99", "98", "97", "96"]);
        assert!(!largest.is_stale());
    }

    #[test]
    fn after_a_room_shrank_the_others_are_looked_at_again() {
        let mut largest = Largest::default();
        (1..50).for_each(|number| largest.grew(&room(number), number));
        largest.shrank(&room(49), 0);
        largest.shrank(&room(48), 2);
        largest.shrank(&room(1), 0);
        assert!(largest.is_stale());
        let rooms: Vec<_> = (1..48).map(|number| (room(number), number)).collect();
        largest.renew(rooms.iter().map(|(room, members)| (room, *members)));
        assert_eq!(ids(&largest)[0], "47");
        assert_eq!(ids(&largest).len(), PLACES);
    }

    #[test]
    fn a_room_that_gets_busy_takes_the_seat_of_one_that_is_not_any_more() {
        let (mut busiest, now) = (Busiest::default(), Instant::now());
        busiest.halve(now);
        for number in 0..PLACES {
            let (seat, before) = busiest.seat(&room(number));
            assert_eq!(before, None);
            (0..1000).for_each(|_| assert!(!busiest.message(seat)));
        }
        busiest.halve(now + Duration::from_secs(20));
        let wants: Vec<_> = (0..SAMPLED).map(|_| busiest.message(Seat::NONE)).collect();
        assert_eq!(wants.iter().filter(|wants| **wants).count(), 1, "one in {SAMPLED}");
        let (_, before) = busiest.seat(&room(99));
        assert!(before.is_some());
        assert_eq!(
            busiest.iter().map(|(room, _)| room.id.to_string()).collect::<Vec<_>>(),
            ["99"]
        );
    }

    #[test]
    fn the_seat_of_a_room_that_is_gone_is_free() {
        let mut busiest = Busiest::default();
        let (seat, _) = busiest.seat(&room(1));
        busiest.leave(seat);
        busiest.leave(Seat::NONE);
        assert_eq!(busiest.iter().count(), 0);
        assert_eq!(busiest.seat(&room(2)).1, None);
    }
}
