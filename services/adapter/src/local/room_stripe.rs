//! One stripe of the hub's rooms: who is in them on which shards, and what is counted of them meanwhile.

use std::collections::HashMap;

use tokio::time::Instant;

use super::census::{Census, Namespaces};
use super::hub_entries::{ClientEntry, RoomEntry};
use super::leaders::{Busiest, Largest, Seat};
use crate::wire::{ClientId, Room};

/// Some of the rooms of this server.
#[derive(Debug, Default)]
pub(super) struct RoomStripe {
    rooms: HashMap<Room, RoomEntry>,
    namespaces: Namespaces,
    largest: Largest,
    busiest: Busiest,
}

impl RoomStripe {
    pub(super) fn of(&self, room: &Room) -> Option<&RoomEntry> {
        self.rooms.get(room)
    }

    pub(super) fn of_mut(&mut self, room: &Room) -> Option<&mut RoomEntry> {
        self.rooms.get_mut(room)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Room, &RoomEntry)> {
        self.rooms.iter()
    }

    /// A client joins a room, with all its connections; whether the room is new.
    pub(super) fn join(&mut self, room: &Room, client: &ClientId, entry: &ClientEntry) -> bool {
        let namespaces = &mut self.namespaces;
        let members = self.rooms.entry(room.clone()).or_insert_with(|| RoomEntry {
            namespace: namespaces.room_came(&room.namespace),
            ..RoomEntry::default()
        });
        entry
            .connections()
            .for_each(|connection| members.count_in(connection.location.shard));
        if members.members.insert(client.clone(), Instant::now()).is_some() {
            return false;
        }
        namespaces.member_came(members.namespace);
        self.largest.grew(room, members.members.len());
        members.members.len() == 1
    }

    /// A client leaves a room, with all its connections; whether the room is gone.
    pub(super) fn leave(&mut self, room: &Room, client: &ClientId, entry: &ClientEntry) -> bool {
        let Some(members) = self.rooms.get_mut(room) else {
            return false;
        };
        if members.members.remove(client).is_some() {
            self.namespaces.member_went(members.namespace);
            self.largest.shrank(room, members.members.len());
        }
        entry
            .connections()
            .for_each(|connection| members.count_out(connection.location.shard));
        let is_empty = members.members.is_empty();
        if is_empty && let Some(gone) = self.rooms.remove(room) {
            self.namespaces.room_went(gone.namespace);
            self.busiest.leave(gone.seat);
        }
        is_empty
    }

    /// Counts a message to a room; the shards that have members.
    pub(super) fn message(&mut self, room: &Room) -> Vec<usize> {
        let Some(members) = self.rooms.get_mut(room) else {
            return Vec::new();
        };
        let shards = members.shards.iter().map(|(shard, _)| *shard).collect();
        members.messages += 1;
        self.namespaces.message(members.namespace);
        if self.busiest.message(members.seat) {
            let (seat, before) = self.busiest.seat(room);
            members.seat = seat;
            if let Some(before) = before.and_then(|before| self.rooms.get_mut(&before)) {
                before.seat = Seat::NONE;
            }
        }
        shards
    }

    /// Whether its largest rooms are not known for certain.
    #[cfg(test)]
    pub(super) fn is_stale(&self) -> bool {
        self.largest.is_stale()
    }

    /// Adds what is counted of namespaces here.
    pub(super) fn report_namespaces(&self, census: &mut Census) {
        self.namespaces.report(census);
    }

    /// Adds what is counted here. `renews`: whether there is time to look at all rooms if the largest ones are not known for
    /// certain; says whether it did.
    pub(super) fn report(&mut self, census: &mut Census, now: Instant, renews: bool) -> bool {
        let renews = renews && self.largest.is_stale();
        if renews {
            let rooms = self.rooms.iter();
            self.largest
                .renew(rooms.map(|(room, entry)| (room, entry.members.len())));
        }
        self.namespaces.report(census);
        for (room, members) in self.largest.iter() {
            census.add_large(room, members as u64);
        }
        self.busiest.halve(now);
        for (room, lately) in self.busiest.iter() {
            let messages = self.rooms.get(room).map_or(0, |entry| entry.messages);
            census.add_busy(room, lately, messages);
        }
        renews
    }
}
