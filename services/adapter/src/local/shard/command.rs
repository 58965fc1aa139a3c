//! The commands that a shard accepts, and the inbox where they arrive.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shard;
use crate::local::delivery::Delivery;
use crate::local::outbox::OutboxLimits;
use crate::wire::{ClientId, Frame, Payload, Room};

/// One connection of one client, unique in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// The close code and reason with which the owner must close a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dismissal {
    /// The close code that the client gets: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    pub code: u16,
    /// A short text for the client.
    pub reason: Arc<str>,
}

impl Dismissal {
    /// Whether an endpoint may send the code in a close frame: RFC 6455, section 7.4, and 1012 to 1014 from IANA's registry. A
    /// client would end the connection for another one as a protocol error.
    pub(crate) fn may_be_sent(&self) -> bool {
        matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The clients of a shard that a frame is for.
#[derive(Debug, Clone)]
pub enum Recipients {
    /// One connection.
    One(ConnectionId),
    /// Every member of a room except these clients.
    Room(Room, Arc<[ClientId]>),
    /// Every connection.
    All,
    /// Every connection except these.
    AllBut(Arc<[ConnectionId]>),
}

/// A request to a client that waits for its answer. If it is dropped without an answer, the sender learns that the
/// client is gone.
#[derive(Debug)]
pub struct PendingRequest {
    pub(crate) request_id: Arc<str>,
    pub(crate) answer: oneshot::Sender<Payload>,
}

/// A command for a shard.
#[derive(Debug)]
pub enum Command {
    /// Queue a frame that is a request for a connection, and remember where its answer goes.
    Ask(ConnectionId, PendingRequest, Frame),
    /// Queue a frame for these clients.
    Deliver(Recipients, Frame),
    /// Add a connection to a room.
    Join(ConnectionId, Room),
    /// Remove a connection from a room.
    Leave(ConnectionId, Room),
    /// Close this connection.
    Dismiss(ConnectionId, Dismissal),
}

/// Why a shard's owner must close a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// Its outbox is full: it is a slow consumer.
    Slow,
    /// It was dismissed.
    Dismissed(Dismissal),
}

/// Where a shard's commands arrive. Bounded: a sender waits while the shard is busy.
#[derive(Debug)]
pub struct ShardInbox {
    pub(crate) index: usize,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) limits: OutboxLimits,
    pub(crate) delivery: Delivery,
}

impl ShardInbox {
    /// The shard's number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// An empty shard with the settings of this inbox. `S` is the value that the owner keeps for each connection.
    pub fn shard<S>(&self) -> Shard<S> {
        Shard::with(self.limits, self.delivery.clone())
    }

    /// Waits for commands and appends up to 1024 of them to `batch`. Returns 0 when the adapter has ended.
    pub async fn recv(&mut self, batch: &mut Vec<Command>) -> usize {
        self.commands.recv_many(batch, 1024).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_close_codes_that_may_be_sent_are_those_of_the_protocol() {
        for code in (0..6000).chain([u16::MAX]) {
            let dismissal = Dismissal {
                code,
                reason: Arc::default(),
            };
            assert_eq!(
                dismissal.may_be_sent(),
                wsmesh_protocol::CloseCode::may_be_sent(code),
                "{code}"
            );
        }
    }
}
