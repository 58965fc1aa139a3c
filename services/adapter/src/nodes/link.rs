//! The seam between a node's task and whatever carries the messages: publish, subscribe, unsubscribe, next.
//!
//! Probing is a publish that comes back through `next`, so the seam needs no ping of its own. Implementations are thin:
//! they keep no state that a new connection would not have, and never connect again by themselves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// A boxed future, so that the seam can be a trait object.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A Redis channel's name.
pub(crate) type Channel = Arc<str>;

/// What went wrong, for those who act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkErrorKind {
    /// No connection could be made.
    Connect,
    /// The node refused the user or password, or what the user may not do.
    Auth,
    /// The node refused for another reason: it is full, or still loading.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The connection ended.
    Closed,
    /// The node answered something that is not what was asked for.
    Protocol,
}

/// Why a call to a node failed; the message says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct LinkError {
    pub(crate) kind: LinkErrorKind,
    message: String,
}

impl LinkError {
    pub(crate) fn new(kind: LinkErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The publishing half of a connection to a node.
pub(crate) trait Publisher: Send + Sync {
    /// Publishes; the count of subscribers that got it. Calls that are first polled in order go out in order. One that is
    /// dropped, or fails by its time limit, may have gone out or may do so later.
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>>;
}

/// What a subscriber read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A message.
    Message { channel: Bytes, payload: Bytes },
    /// The oldest subscription or unsubscription that was not answered yet is in force.
    Confirmed,
}

/// The subscribing half of a connection to a node.
pub(crate) trait Subscriber: Send {
    /// Asks for channels; none is nothing to ask. Answers come through `next`, one for each, in order.
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    /// Gives channels up; none is nothing to ask. Answers come through `next`, one for each, in order.
    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    /// Waits for at least one arrival; at most what one read brought. Loses nothing when it is dropped.
    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>>;
}

/// A node that can be connected to.
pub(crate) trait Endpoint: Send + Sync {
    /// `host:port`, without credentials.
    fn address(&self) -> String;
    /// Connects for publishing. Dropping the result closes the connection.
    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>>;
    /// Connects for subscribing. Dropping the result closes the connection.
    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>>;
}
