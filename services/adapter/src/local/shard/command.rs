//! What the rest of the process asks of a shard, and the inbox through which it does.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shard;
use crate::local::delivery::Delivery;
use crate::local::outbox::OutboxLimits;
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
    pub(crate) delivery: Delivery,
}

impl ShardInbox {
    /// Which shard this is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The empty state that belongs to this inbox; `S` is what the owner keeps per connection.
    pub fn shard<S>(&self) -> Shard<S> {
        Shard::with(self.limits, self.delivery.clone())
    }

    /// Waits for commands and moves up to 1024 of them to `batch`. Returns 0 when the adapter has ended.
    pub async fn recv(&mut self, batch: &mut Vec<Command>) -> usize {
        self.commands.recv_many(batch, 1024).await
    }
}
