//! What handlers are told about a connection: plain values.

use std::sync::Arc;

use bytes::Bytes;

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The close code; none if the connection broke, or if the client gave none.
    pub code: Option<u16>,
    /// The reason of the one who ended it; empty if there is none.
    pub reason: Arc<str>,
    /// Who ended it.
    pub by: ClosedBy,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The client, or the network.
    Client,
    /// This server: it sends its clients away, or a program, a service or a limit ended it.
    Server,
}

/// What went wrong with a connection. It may go on, unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientFault {
    /// The client broke the WebSocket protocol. The connection is closed.
    Violation {
        /// The close code.
        code: u16,
        /// What it did.
        reason: &'static str,
    },
    /// The client sent a frame that is not one of the client protocol.
    BadFrame {
        /// What is wrong with it.
        reason: String,
    },
    /// A handler for an event of this client panicked.
    Panicked {
        /// The event.
        event: Arc<str>,
    },
}

/// A client's message as it came, before it is read. Heartbeats are not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

/// Whether a handler has dealt with a raw message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Nobody else sees it: it is not read.
    Handled,
    /// It is read as usual.
    Unhandled,
}
