//! The seam between a node's task and whatever carries the messages: publish, subscribe, unsubscribe, next.
//!
//! Probing is a publish that comes back through `next`, so the seam needs no ping of its own. Implementations are thin:
//! they keep no state that a new connection would not have, and never connect again by themselves.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A boxed future, so that the seam can be a trait object.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A Redis channel's name.
pub(crate) type Channel = Arc<str>;

/// What went wrong, for those who act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkErrorKind {
    /// No connection could be made.
    Connect,
    /// The node refused the user or password, or a command that the user may not give.
    Auth,
    /// The node does not let this user use a channel. The connection goes on.
    Forbidden,
    /// The node refused for another reason: it is full, or still loading.
    Refused,
    /// No answer in time.
    TimedOut,
    /// Too much waits for the connection already; nothing is wrong with it otherwise.
    Full,
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

/// A message on its way to a node: the count of subscribers that got it, or why it failed.
pub(crate) enum Publishing {
    /// That is known already.
    Done(Ready<Result<u64, LinkError>>),
    /// It will be told, within the time limit that the connection was made with, or some of them while others are answered.
    Answer(oneshot::Receiver<Result<u64, LinkError>>),
    /// It goes out when this is polled, and may take any time.
    Polled(Boxed<'static, Result<u64, LinkError>>),
}

impl Publishing {
    /// It could not even be tried.
    pub(crate) fn failed(error: LinkError) -> Self {
        Self::Done(ready(Err(error)))
    }

    /// Waits, not longer than `limit` where the connection has no limit of its own.
    pub(crate) async fn within(self, limit: Duration) -> Result<u64, LinkError> {
        match self {
            Self::Polled(sending) => Box::pin(limited(limit, sending)).await,
            limited_already => limited_already.await,
        }
    }
}

impl Future for Publishing {
    type Output = Result<u64, LinkError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Done(result) => Pin::new(result).poll(cx),
            Self::Answer(answer) => {
                let given_up = |_| Err(LinkError::new(LinkErrorKind::Closed, "the connection was given up"));
                Pin::new(answer).poll(cx).map(|answer| answer.unwrap_or_else(given_up))
            }
            Self::Polled(sending) => sending.as_mut().poll(cx),
        }
    }
}

/// Gives up after a time.
pub(crate) async fn limited<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(LinkError::new(LinkErrorKind::TimedOut, "no answer in time")))
}

/// The publishing half of a connection to a node.
pub(crate) trait Publisher: Send + Sync {
    /// Publishes. Calls that are made, and first polled, in order go out in order. One that is dropped, or fails by its time
    /// limit, may have gone out or may do so later.
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing;

    /// As [`Publisher::publish`], and never refused because too much waits: to find out whether the node is there.
    fn probe(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.publish(channel, payload)
    }
}

/// What a subscriber read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A message.
    Message { channel: Bytes, payload: Bytes },
    /// The oldest subscription or unsubscription that was not answered yet is in force.
    Confirmed,
    /// The oldest call of [`Subscriber::subscribe`] that was not answered yet was refused as a whole: the node does not let this
    /// user use one of its channels, or more.
    Refused,
}

/// The subscribing half of a connection to a node.
pub(crate) trait Subscriber: Send {
    /// How many bytes may wait for it before the node ends the connection, if the node says that.
    fn holds(&self) -> Option<usize> {
        None
    }

    /// Asks for channels; none is nothing to ask. Answers come through `next`, one for each, in order; or one for all if the call is
    /// refused.
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
