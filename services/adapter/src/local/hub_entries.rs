//! The hub's entries: one for each client and one for each room. A client may have several connections; they share its
//! rooms.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::census::Place;
use super::context::LiveContext;
use super::leaders::Seat;
use super::shard::ConnectionId;
use crate::wire::{ClientId, Room};

/// The shard that owns a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) shard: usize,
    pub(crate) connection: ConnectionId,
}

/// A connection of a client, when it was attached, and what is known about it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) location: Location,
    pub(super) since: Instant,
    pub(super) context: LiveContext,
}

/// A client with its connections, which share its rooms.
#[derive(Debug)]
pub(super) struct ClientEntry {
    pub(super) first: Connection,
    /// The later connections, in order. Few clients have any, so the others should pay for one word only.
    #[expect(clippy::box_collection, reason = "a word instead of three, for each of many clients")]
    more: Option<Box<Vec<Connection>>>,
    pub(super) rooms: HashSet<Room>,
}

impl ClientEntry {
    pub(super) fn new(first: Connection) -> Self {
        Self {
            first,
            more: None,
            rooms: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, connection: Connection) {
        self.more.get_or_insert_default().push(connection);
    }

    /// Whether this is the client's only connection.
    pub(super) fn is_only(&self, connection: ConnectionId) -> bool {
        self.more.is_none() && self.first.location.connection == connection
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.first).chain(self.more.iter().flat_map(|more| more.iter()))
    }

    pub(super) fn newest(&self) -> &Connection {
        self.more.as_ref().and_then(|more| more.last()).unwrap_or(&self.first)
    }

    pub(super) fn locations(&self) -> Locations {
        self.locations_before(None)
    }

    /// The locations of the connections that existed when a copy was first sent.
    pub(super) fn locations_before(&self, sent: Option<Instant>) -> Locations {
        let old = self
            .connections()
            .filter(|connection| sent.is_none_or(|sent| connection.since <= sent));
        let mut locations = old.map(|connection| connection.location);
        Locations {
            first: locations.next(),
            more: locations.collect(),
        }
    }

    /// Removes one of several connections; `None` if it is unknown, or the only one.
    pub(super) fn remove(&mut self, connection: ConnectionId) -> Option<Connection> {
        let more = self.more.as_mut()?;
        let removed = if self.first.location.connection == connection {
            std::mem::replace(&mut self.first, more.remove(0))
        } else {
            let at = more.iter().position(|other| other.location.connection == connection)?;
            more.remove(at)
        };
        if more.is_empty() {
            self.more = None;
        }
        Some(removed)
    }
}

/// The locations of a client's connections, oldest first. Allocates nothing for the usual single one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Locations {
    first: Option<Location>,
    more: Vec<Location>,
}

impl Locations {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Location> {
        self.first.iter().chain(&self.more).copied()
    }
}

/// The members that a room has on this server, and what is counted of it.
#[derive(Debug)]
pub(super) struct RoomEntry {
    /// Each member, with the time when it joined.
    pub(super) members: HashMap<ClientId, Instant>,
    /// The shards with connections of members, and how many each has.
    pub(super) shards: Vec<(usize, usize)>,
    /// Messages to it.
    pub(super) messages: u64,
    /// Where its namespace is counted.
    pub(super) namespace: Place,
    /// Its place among the busiest rooms.
    pub(super) seat: Seat,
}

impl Default for RoomEntry {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            shards: Vec::new(),
            messages: 0,
            namespace: Place::default(),
            seat: Seat::NONE,
        }
    }
}

impl RoomEntry {
    pub(super) fn count_in(&mut self, shard: usize) {
        match self.shards.iter_mut().find(|(other, _)| *other == shard) {
            Some((_, connections)) => *connections += 1,
            None => self.shards.push((shard, 1)),
        }
    }

    pub(super) fn count_out(&mut self, shard: usize) {
        if let Some(at) = self.shards.iter().position(|(other, _)| *other == shard) {
            self.shards[at].1 -= 1;
            if self.shards[at].1 == 0 {
                self.shards.swap_remove(at);
            }
        }
    }
}
