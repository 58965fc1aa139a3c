//! What the hub says about its clients and rooms. Changes nothing, and sends nothing.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Hub;
use crate::local::census::{Census, NamespaceCount, TopRooms};
use crate::wire::{ClientId, Namespace, Room};

impl Hub {
    /// The number of clients, each counted once however many connections it has.
    pub(crate) fn client_count(&self) -> usize {
        self.client_count.load(Ordering::Relaxed)
    }

    pub(crate) fn room_count(&self) -> usize {
        self.room_count.load(Ordering::Relaxed)
    }

    pub(crate) fn members(&self, room: &Room) -> Vec<ClientId> {
        let rooms = self.rooms.lock(room);
        rooms
            .of(room)
            .map(|entry| entry.members.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// How many members a room has, but for these clients.
    pub(crate) fn member_count(&self, room: &Room, except: &[ClientId]) -> usize {
        let rooms = self.rooms.lock(room);
        let members = rooms.of(room).map(|entry| &entry.members);
        members.map_or(0, |members| {
            members.len() - except.iter().filter(|client| members.contains_key(*client)).count()
        })
    }

    pub(crate) fn has_joined(&self, client: &ClientId, room: &Room) -> bool {
        let clients = self.clients.lock(client);
        clients.get(client).is_some_and(|entry| entry.rooms.contains(room))
    }

    pub(crate) fn joined_rooms(&self, client: &ClientId) -> Vec<Room> {
        let clients = self.clients.lock(client);
        clients
            .get(client)
            .map(|entry| entry.rooms.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// What is counted of all rooms. Takes one stripe after the other, each for a moment; at most one looks at all its rooms.
    /// The next call begins with the next stripe, so that each has its turn.
    pub(crate) fn census(&self, now: Instant) -> (Vec<NamespaceCount>, TopRooms) {
        let (mut census, mut renewed) = (Census::default(), false);
        let first = self.renewed_next.fetch_add(1, Ordering::Relaxed);
        for mut stripe in self.rooms.each_from(first) {
            renewed |= stripe.report(&mut census, now, !renewed);
        }
        census.finish()
    }

    /// What is counted of each namespace. Looks at no room.
    pub(crate) fn namespaces(&self) -> Vec<NamespaceCount> {
        let mut census = Census::default();
        self.rooms
            .each()
            .for_each(|stripe| stripe.report_namespaces(&mut census));
        census.namespaces()
    }

    /// The rooms of a namespace (all, if none is given) whose id starts with this, and how many members each has, sorted.
    pub(crate) fn rooms(&self, namespace: Option<&Namespace>, id_prefix: &str) -> Vec<(Room, usize)> {
        self.rooms_where(|room| {
            namespace.is_none_or(|namespace| *namespace == room.namespace) && room.id.as_str().starts_with(id_prefix)
        })
    }

    /// The rooms that `wanted` picks and how many members each has, sorted.
    pub(crate) fn rooms_where(&self, wanted: impl Fn(&Room) -> bool) -> Vec<(Room, usize)> {
        let mut found = Vec::new();
        for stripe in self.rooms.each() {
            let rooms = stripe.iter().filter(|(room, _)| wanted(room));
            found.extend(rooms.map(|(room, entry)| (room.clone(), entry.members.len())));
        }
        found.sort();
        found
    }
}
