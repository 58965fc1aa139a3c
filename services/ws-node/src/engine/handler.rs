//! The interface to the user of the engine, which knows what frames mean and acts when a connection begins or ends.

use std::pin::Pin;
use std::time::{Duration, Instant};

use wsmesh_adapter::Detached;

use super::decoder::{Message, Violation};
use super::ending::Farewell;
use super::outgoing::Onlooker;
use super::session::Session;

/// Handles one connection's frames; the engine keeps one value for each connection. Called on the thread of the connection's
/// shard, between two reads: nothing here may block.
pub(crate) trait FrameHandler: Onlooker + Sized + Send + 'static {
    /// What the connection's task holds until it has ended, however it ends. The engine only drops it.
    type Guard: Send;

    /// The client sent a whole message.
    fn message(session: &Session<Self>, message: Message);

    /// The client sent a frame without a message.
    fn control(session: &Session<Self>, control: Control);

    /// The client broke the protocol. The engine closes the connection after this.
    fn violation(session: &Session<Self>, violation: &Violation);

    /// Until when the client may stay. None: without limit.
    fn expires_at(&self) -> Option<Instant>;

    /// Called once, when the client has stayed until then: the handler may count it. Returns the close frame.
    fn expired(&self) -> Farewell;

    /// Whether somebody watches this connection. Asked when its client is attached, and on [`Order::Look`](super::Order::Look).
    fn is_watched(session: &Session<Self>) -> bool;

    /// Other servers can reach the client from now on. Its frames are not read before the verdict, if there is one.
    fn reachable(session: &Session<Self>) -> Option<Verdict>;

    /// The client is logged in: its frames are read after this. Not called for a client that the verdict sends away.
    fn opened(session: &Session<Self>);

    /// The connection is off the bus. Called before anything else happens to its client, which is locked meanwhile: nothing here
    /// may wait, or ask the adapter about clients.
    fn detached(session: &Session<Self>, detached: Detached);

    /// The connection has ended, and is off the bus once the future is polled. Its task ends after the future.
    fn closed(session: Session<Self>) -> impl Future<Output = ()>;
}

/// Whether a client may stay; if not, its close frame.
pub(crate) type Verdict = Pin<Box<dyn Future<Output = Result<(), Farewell>>>>;

/// A frame without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// A ping; the engine answers it.
    Ping,
    /// The answer to a ping of the engine, and how long after it that came.
    ExpectedPong(Duration),
    /// A pong that answers nothing.
    UnexpectedPong,
    /// A part of a message with nothing in it.
    EmptyFragment,
}
