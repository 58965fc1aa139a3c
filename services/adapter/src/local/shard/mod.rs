//! A shard: the clients, rooms and outboxes that one thread owns. Applying a command to it is the fan-out.
//!
//! State without I/O. The owner stores one value per connection in it (a socket), applies the commands from the inbox,
//! and once per turn writes the outboxes of dirty connections to their sockets. Nothing here locks or waits. `fan_out`
//! handles frames for rooms.

mod command;
mod fan_out;
mod pressure;

use std::collections::{HashMap, HashSet};

use slab::Slab;

pub use self::command::{Closing, Command, ConnectionId, Dismissal, PendingRequest, Recipients, ShardInbox};
pub use self::fan_out::Shared;
use self::fan_out::{Following, Rooms};
use super::delivery::{Class, Delivery};
use super::outbox::{Outbox, OutboxLimits, Pushed, Spared};
use crate::wire::{ClientId, Frame, Payload, Room};

/// The most requests that may wait for one client's answers at once; more are rejected.
const MOST_PENDING: usize = 64;

#[derive(Debug)]
struct Entry<S> {
    connection: ConnectionId,
    client: ClientId,
    socket: S,
    outbox: Outbox,
    /// The shared frames that it gets after those in its outbox.
    following: Option<Following>,
    rooms: HashSet<Room>,
    pending_requests: Vec<PendingRequest>,
    /// How much its outbox held when its last turn ended.
    weight: usize,
    dirty: bool,
    closing: bool,
}

/// Clients, rooms and outboxes of one thread.
#[derive(Debug)]
pub struct Shard<S> {
    /// Boxed, because a slab grows by doubling and may be half empty.
    entries: Slab<Box<Entry<S>>>,
    by_connection: HashMap<ConnectionId, usize>,
    rooms: Rooms,
    pending: Pending,
    /// The sum of the entries' weights.
    waiting: usize,
    limits: OutboxLimits,
    delivery: Delivery,
}

/// Work for the owner at the end of the turn.
#[derive(Debug, Default)]
struct Pending {
    dirty: Vec<usize>,
    closing: Vec<(ConnectionId, Closing)>,
    spared: Spared,
}

impl<S> Shard<S> {
    /// An empty shard.
    pub fn new(limits: OutboxLimits) -> Self {
        Self::with(limits, Delivery::default())
    }

    fn with(limits: OutboxLimits, delivery: Delivery) -> Self {
        Self {
            entries: Slab::new(),
            by_connection: HashMap::new(),
            rooms: Rooms::default(),
            pending: Pending::default(),
            waiting: 0,
            limits,
            delivery,
        }
    }

    /// Adds a connection. Frames for it are kept from now on.
    pub fn insert(&mut self, connection: ConnectionId, client: ClientId, socket: S) {
        let entry = Entry {
            connection,
            client,
            socket,
            outbox: Outbox::default(),
            following: None,
            rooms: HashSet::new(),
            pending_requests: Vec::new(),
            weight: 0,
            dirty: false,
            closing: false,
        };
        let key = self.entries.insert(Box::new(entry));
        self.by_connection.insert(connection, key);
        self.rooms.added(key);
    }

    /// Removes a connection from the shard and from all its rooms, and returns the owner's value.
    pub fn remove(&mut self, connection: ConnectionId) -> Option<S> {
        let key = self.by_connection.remove(&connection)?;
        let entry = *self.entries.remove(key);
        self.rooms.removed(key, &entry.rooms);
        self.waiting -= entry.weight;
        // Its key may stay in the dirty list: the next connection with that key has nothing to write then. Searching the
        // list would take quadratic time when many connections end.
        Some(entry.socket)
    }

    /// Applies a command. Commands for connections that are gone do nothing.
    pub fn apply(&mut self, command: Command) {
        match command {
            Command::Deliver(Recipients::One(connection), frame) => self.push(connection, frame),
            Command::Deliver(Recipients::Room(room, except), frame) => self.push_room(&room, &except, &frame),
            Command::Deliver(Recipients::All, frame) => self.push_all(&[], &frame),
            Command::Deliver(Recipients::AllBut(except), frame) => self.push_all(&except, &frame),
            Command::Ask(connection, request, frame) => self.ask(connection, request, frame),
            Command::Join(connection, room) => self.join(connection, room),
            Command::Leave(connection, room) => self.leave(connection, &room),
            Command::Dismiss(connection, dismissal) => self.close(connection, Closing::Dismissed(dismissal)),
        }
    }

    fn ask(&mut self, connection: ConnectionId, request: PendingRequest, frame: Frame) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        let waiting = &mut self.entries[key].pending_requests;
        waiting.retain(|one| !one.answer.is_closed());
        if waiting.len() < MOST_PENDING {
            waiting.push(request);
            self.push(connection, frame);
        }
    }

    /// A client answered a request; `false` if the request was not sent to this connection, or nobody waits for the
    /// answer.
    pub fn answered(&mut self, connection: ConnectionId, request_id: &str, payload: Payload) -> bool {
        let Some(&key) = self.by_connection.get(&connection) else {
            return false;
        };
        let waiting = &mut self.entries[key].pending_requests;
        let Some(position) = waiting.iter().position(|one| *one.request_id == *request_id) else {
            return false;
        };
        waiting.swap_remove(position).answer.send(payload).is_ok()
    }

    /// Queues a frame for one connection, for example a session's answer to its own client.
    pub fn push(&mut self, connection: ConnectionId, frame: Frame) {
        if let Some(&key) = self.by_connection.get(&connection) {
            let class = self.delivery.class_of(&frame);
            self.settle(key);
            self.enqueue(key, frame, class);
        }
    }

    /// Queues a frame for an entry that follows no shared frames.
    fn enqueue(&mut self, key: usize, frame: Frame, class: Class) {
        let entry = &mut self.entries[key];
        if entry.queue(frame, class, self.limits, &mut self.pending) {
            entry.mark(key, &mut self.pending.dirty);
        }
    }

    /// Passes every dirty connection to `drain`, which writes what it can. Afterwards no connection is dirty, even if
    /// its outbox is not empty: the owner waits until its socket is writable, then calls [`Shard::mark_dirty`].
    pub fn drain_dirty(&mut self, mut drain: impl FnMut(ConnectionId, &mut S, &mut Outbox)) {
        self.drain_shared(|connection, socket, outbox, shared| {
            if shared.is_none() {
                drain(connection, socket, outbox);
            }
            shared.is_none()
        });
    }

    /// Marks a connection whose socket is writable again: it is drained in the next turn.
    pub fn mark_dirty(&mut self, connection: ConnectionId) {
        if let Some(&key) = self.by_connection.get(&connection) {
            self.entries[key].mark(key, &mut self.pending.dirty);
        }
    }

    /// Whether any connection is dirty.
    pub fn is_dirty(&self) -> bool {
        !self.pending.dirty.is_empty()
    }

    /// The connections to close, each listed once.
    pub fn take_closing(&mut self) -> Vec<(ConnectionId, Closing)> {
        std::mem::take(&mut self.pending.closing)
    }

    /// Whether any connection must be closed.
    pub fn has_closing(&self) -> bool {
        !self.pending.closing.is_empty()
    }

    /// The frames that slow clients did not get since the last call.
    pub fn take_spared(&mut self) -> Spared {
        std::mem::take(&mut self.pending.spared)
    }

    /// The owner's value for a connection, and its outbox with everything that waits for it.
    pub fn connection(&mut self, connection: ConnectionId) -> Option<(&mut S, &mut Outbox)> {
        let key = *self.by_connection.get(&connection)?;
        self.settle(key);
        let entry = &mut self.entries[key];
        Some((&mut entry.socket, &mut entry.outbox))
    }

    /// All connections, in no particular order.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &ClientId, &S)> {
        self.entries
            .iter()
            .map(|(_, entry)| (entry.connection, &entry.client, &entry.socket))
    }

    /// What the owner keeps for each connection and how many bytes wait in its outbox, in no particular order.
    pub fn queues(&self) -> impl Iterator<Item = (&S, usize)> {
        self.entries
            .iter()
            .map(|(_, entry)| (&entry.socket, entry.outbox.bytes()))
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn close(&mut self, connection: ConnectionId, why: Closing) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        self.settle(key);
        let entry = &mut self.entries[key];
        if !entry.closing {
            entry.closing = true;
            self.pending.closing.push((connection, why));
        }
    }
}

impl<S> Entry<S> {
    /// Adds a frame to the outbox; `false` if the connection is closing, or must be closed because the outbox is full.
    fn queue(&mut self, frame: Frame, class: Class, limits: OutboxLimits, pending: &mut Pending) -> bool {
        if self.closing {
            return false;
        }
        match self.outbox.push(frame, class, limits) {
            Ok(Pushed::Queued) => {}
            Ok(Pushed::Replaced) => pending.spared.replaced += 1,
            Ok(Pushed::Dropped) => pending.spared.dropped += 1,
            Err(_) => {
                self.closing = true;
                pending.closing.push((self.connection, Closing::Slow));
                return false;
            }
        }
        true
    }

    /// Its turn has ended: counts what still waits into the sum of all.
    fn weigh(&mut self, waiting: &mut usize) {
        let weight = self.outbox.weight();
        if weight != self.weight {
            *waiting = *waiting - self.weight + weight;
            self.weight = weight;
        }
    }

    fn mark(&mut self, key: usize, dirty: &mut Vec<usize>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(key);
        }
    }
}

#[cfg(test)]
mod tests;
