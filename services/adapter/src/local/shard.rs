//! A shard: the clients, rooms and outboxes that one thread owns. Applying a command to it is the fan-out.
//!
//! State without I/O. Its owner keeps one value per connection in it (a socket), applies what the inbox brings, and once
//! per turn drains the dirty outboxes to the sockets. Nothing here locks, waits or wakes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;
use tokio::sync::{mpsc, oneshot};

use super::delivery::{Class, Classes};
use super::outbox::{Outbox, OutboxLimits, Pushed};
use crate::wire::{ClientId, Frame, Payload, Room};

/// One connection of one client, unique in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Why and how a connection is to be closed by its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dismissal {
    /// The close code that the client gets.
    pub code: u16,
    /// A short text for the client.
    pub reason: Arc<str>,
}

/// Which of a shard's clients a frame is for.
#[derive(Debug, Clone)]
pub enum Recipients {
    /// One connection.
    One(ConnectionId),
    /// Every member of a room, but those.
    Room(Room, Arc<[ClientId]>),
    /// Everyone.
    All,
    /// Everyone but those connections.
    AllBut(Arc<[ConnectionId]>),
}

/// A request to a client that waits for its answer. Dropped without one, whoever asked is told that the client is gone.
#[derive(Debug)]
pub struct Asked {
    pub(crate) request_id: Arc<str>,
    pub(crate) answer: oneshot::Sender<Payload>,
}

/// Requests of servers that may wait for one client's answers at once; more are refused.
const ASKED: usize = 64;

/// What the rest of the process asks of a shard.
#[derive(Debug)]
pub enum Command {
    /// Put a frame that is a request in a connection's outbox, and note who waits for the answer.
    Ask(ConnectionId, Asked, Frame),
    /// Put a frame in the outboxes of these clients.
    Deliver(Recipients, Frame),
    /// A client is in this room from now on.
    Join(ConnectionId, Room),
    /// A client is no longer in this room.
    Leave(ConnectionId, Room),
    /// Nobody is in this room any more.
    RemoveRoom(Room),
    /// Close this connection.
    Dismiss(ConnectionId, Dismissal),
}

/// What a shard's owner must do to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// Its outbox is full: close it as a slow consumer.
    Slow,
    /// It was dismissed.
    Dismissed(Dismissal),
}

/// Where a shard's commands arrive; bounded, so whoever sends to a busy shard waits.
#[derive(Debug)]
pub struct ShardInbox {
    pub(crate) index: usize,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) limits: OutboxLimits,
    pub(crate) classes: Classes,
}

impl ShardInbox {
    /// Which shard this is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The empty state that belongs to this inbox; `S` is what the owner keeps per connection.
    pub fn shard<S>(&self) -> Shard<S> {
        Shard {
            classes: self.classes.clone(),
            ..Shard::new(self.limits)
        }
    }

    /// Waits for commands and moves up to 1024 of them to `batch`. Returns 0 when the adapter has ended.
    pub async fn recv(&mut self, batch: &mut Vec<Command>) -> usize {
        self.commands.recv_many(batch, 1024).await
    }
}

#[derive(Debug)]
struct Slot<S> {
    connection: ConnectionId,
    client: ClientId,
    socket: S,
    outbox: Outbox,
    rooms: HashSet<Room>,
    asked: Vec<Asked>,
    dirty: bool,
    closing: bool,
}

/// Clients, rooms and outboxes of one thread.
#[derive(Debug)]
pub struct Shard<S> {
    /// Boxed: a slab doubles, and half of it may be empty.
    slots: Slab<Box<Slot<S>>>,
    by_connection: HashMap<ConnectionId, usize>,
    rooms: HashMap<Room, HashSet<usize>>,
    dirty: Vec<usize>,
    closing: Vec<(ConnectionId, Closing)>,
    limits: OutboxLimits,
    classes: Classes,
    spared: Spared,
}

/// Frames that slow clients were spared, by rules that allow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spared {
    /// A newer one took their place.
    pub replaced: u64,
    /// Dropped.
    pub dropped: u64,
}

impl<S> Shard<S> {
    /// An empty shard.
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            slots: Slab::new(),
            by_connection: HashMap::new(),
            rooms: HashMap::new(),
            dirty: Vec::new(),
            closing: Vec::new(),
            limits,
            classes: Classes::default(),
            spared: Spared::default(),
        }
    }

    /// Takes a connection. Frames for it are kept from now on.
    pub fn insert(&mut self, connection: ConnectionId, client: ClientId, socket: S) {
        let slot = Slot {
            connection,
            client,
            socket,
            outbox: Outbox::default(),
            rooms: HashSet::new(),
            asked: Vec::new(),
            dirty: false,
            closing: false,
        };
        let key = self.slots.insert(Box::new(slot));
        self.by_connection.insert(connection, key);
    }

    /// Gives a connection back, out of all its rooms.
    pub fn remove(&mut self, connection: ConnectionId) -> Option<S> {
        let key = self.by_connection.remove(&connection)?;
        let slot = *self.slots.remove(key);
        for room in &slot.rooms {
            forget_member(&mut self.rooms, room, key);
        }
        // Its key may stay among the dirty: whoever gets the slot has nothing to write, and searching for it would make
        // the end of many connections take the square of their time.
        Some(slot.socket)
    }

    /// Does what a command says. Commands for connections that are gone do nothing.
    pub fn apply(&mut self, command: Command) {
        match command {
            Command::Deliver(Recipients::One(connection), frame) => self.push(connection, frame),
            Command::Deliver(Recipients::Room(room, except), frame) => self.push_room(&room, &except, &frame),
            Command::Deliver(Recipients::All, frame) => self.push_all(&[], &frame),
            Command::Deliver(Recipients::AllBut(except), frame) => self.push_all(&except, &frame),
            Command::Ask(connection, asked, frame) => self.ask(connection, asked, frame),
            Command::Join(connection, room) => self.join(connection, room),
            Command::Leave(connection, room) => self.leave(connection, &room),
            Command::RemoveRoom(room) => self.remove_room(&room),
            Command::Dismiss(connection, dismissal) => self.close(connection, Closing::Dismissed(dismissal)),
        }
    }

    fn ask(&mut self, connection: ConnectionId, asked: Asked, frame: Frame) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        let waiting = &mut self.slots[key].asked;
        waiting.retain(|one| !one.answer.is_closed());
        if waiting.len() < ASKED {
            waiting.push(asked);
            self.push(connection, frame);
        }
    }

    /// A client answered a request; `false` if this connection was not asked that, or nobody waits any more.
    pub fn answered(&mut self, connection: ConnectionId, request_id: &str, payload: Payload) -> bool {
        let Some(&key) = self.by_connection.get(&connection) else {
            return false;
        };
        let waiting = &mut self.slots[key].asked;
        let Some(position) = waiting.iter().position(|one| *one.request_id == *request_id) else {
            return false;
        };
        waiting.swap_remove(position).answer.send(payload).is_ok()
    }

    fn push_all(&mut self, except: &[ConnectionId], frame: &Frame) {
        let wanted = self.slots.iter().filter(|(_, slot)| !except.contains(&slot.connection));
        let keys: Vec<usize> = wanted.map(|(key, _)| key).collect();
        let class = self.classes.of(frame);
        for key in keys {
            self.enqueue(key, frame.clone(), class);
        }
    }

    /// Puts a frame in one connection's outbox: what a session answers to its own client.
    pub fn push(&mut self, connection: ConnectionId, frame: Frame) {
        if let Some(&key) = self.by_connection.get(&connection) {
            let class = self.classes.of(&frame);
            self.enqueue(key, frame, class);
        }
    }

    /// Hands every dirty connection to `drain`, which writes what it can. A connection whose outbox is not empty
    /// afterwards is not dirty any more: its owner waits until the socket takes more, then calls [`Shard::mark_dirty`].
    pub fn drain_dirty(&mut self, mut drain: impl FnMut(ConnectionId, &mut S, &mut Outbox)) {
        for key in std::mem::take(&mut self.dirty) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.dirty = false;
                drain(slot.connection, &mut slot.socket, &mut slot.outbox);
            }
        }
    }

    /// The socket takes more: drain this connection at the next turn.
    pub fn mark_dirty(&mut self, connection: ConnectionId) {
        if let Some(&key) = self.by_connection.get(&connection) {
            mark(&mut self.dirty, &mut self.slots[key].dirty, key);
        }
    }

    /// Whether any outbox waits to be drained.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Connections to be closed, each named once.
    pub fn take_closing(&mut self) -> Vec<(ConnectionId, Closing)> {
        std::mem::take(&mut self.closing)
    }

    /// What the owner keeps for a connection, and its outbox.
    pub fn connection(&mut self, connection: ConnectionId) -> Option<(&mut S, &mut Outbox)> {
        let slot = &mut self.slots[*self.by_connection.get(&connection)?];
        Some((&mut slot.socket, &mut slot.outbox))
    }

    /// Every connection, in no order.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &ClientId, &S)> {
        self.slots
            .iter()
            .map(|(_, slot)| (slot.connection, &slot.client, &slot.socket))
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn push_room(&mut self, room: &Room, except: &[ClientId], frame: &Frame) {
        let Some(members) = self.rooms.get(room) else {
            return;
        };
        let mut delivery = Delivery {
            class: self.classes.of(frame),
            limits: self.limits,
            dirty: &mut self.dirty,
            closing: &mut self.closing,
            spared: &mut self.spared,
        };
        for &key in members {
            let slot = &mut self.slots[key];
            if !except.contains(&slot.client) {
                delivery.to(slot, key, frame.clone());
            }
        }
    }

    fn enqueue(&mut self, key: usize, frame: Frame, class: Class) {
        let mut delivery = Delivery {
            class,
            limits: self.limits,
            dirty: &mut self.dirty,
            closing: &mut self.closing,
            spared: &mut self.spared,
        };
        delivery.to(&mut self.slots[key], key, frame);
    }

    /// What slow clients were spared since the last call.
    pub fn take_spared(&mut self) -> Spared {
        std::mem::take(&mut self.spared)
    }

    fn join(&mut self, connection: ConnectionId, room: Room) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        self.slots[key].rooms.insert(room.clone());
        self.rooms.entry(room).or_default().insert(key);
    }

    fn leave(&mut self, connection: ConnectionId, room: &Room) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        if self.slots[key].rooms.remove(room) {
            forget_member(&mut self.rooms, room, key);
        }
    }

    fn remove_room(&mut self, room: &Room) {
        for key in self.rooms.remove(room).unwrap_or_default() {
            self.slots[key].rooms.remove(room);
        }
    }

    fn close(&mut self, connection: ConnectionId, why: Closing) {
        let Some(&key) = self.by_connection.get(&connection) else {
            return;
        };
        let slot = &mut self.slots[key];
        if !slot.closing {
            slot.closing = true;
            self.closing.push((connection, why));
        }
    }
}

/// How a frame goes to outboxes, and where it is noted what follows.
struct Delivery<'a> {
    class: Class,
    limits: OutboxLimits,
    dirty: &'a mut Vec<usize>,
    closing: &'a mut Vec<(ConnectionId, Closing)>,
    spared: &'a mut Spared,
}

impl Delivery<'_> {
    fn to<S>(&mut self, slot: &mut Slot<S>, key: usize, frame: Frame) {
        if slot.closing {
            return;
        }
        match slot.outbox.push(frame, self.class, self.limits) {
            Ok(Pushed::Queued) => {}
            Ok(Pushed::Replaced) => self.spared.replaced += 1,
            Ok(Pushed::Dropped) => self.spared.dropped += 1,
            Err(_) => {
                slot.closing = true;
                self.closing.push((slot.connection, Closing::Slow));
                return;
            }
        }
        mark(self.dirty, &mut slot.dirty, key);
    }
}

fn mark(dirty: &mut Vec<usize>, is_dirty: &mut bool, key: usize) {
    if !*is_dirty {
        *is_dirty = true;
        dirty.push(key);
    }
}

fn forget_member(rooms: &mut HashMap<Room, HashSet<usize>>, room: &Room, key: usize) {
    if let Some(members) = rooms.get_mut(room) {
        members.remove(&key);
        if members.is_empty() {
            rooms.remove(room);
        }
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
