//! The traits between a node's task and the transport that carries messages: publish, subscribe, unsubscribe, next.
//!
//! A probe is a publish that comes back through `next`, so no ping is needed. Implementations are thin: they keep no
//! state across connections and never reconnect by themselves.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::wire::RunId;

/// A boxed future, so that these traits can be trait objects.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A Redis channel's name.
pub(crate) type Channel = Arc<str>;

/// The number that a node gave a server's subscribing connection.
pub(crate) type SubscriberNumber = u64;

/// The kind of a failure, for callers that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkErrorKind {
    /// No connection could be established.
    Connect,
    /// The node rejected the user or password, or a command that the user may not use.
    Auth,
    /// The node does not allow this user to use a channel. The connection stays open.
    Forbidden,
    /// The node rejected the call for another reason, for example because it is full or still loading.
    Rejected,
    /// No answer in time.
    TimedOut,
    /// Too much waits for the connection already. The connection itself is fine.
    Full,
    /// The connection ended.
    Closed,
    /// The node's answer does not fit the call.
    Protocol,
    /// The connection leads to a Redis that is another node already, or the two connections lead to different ones.
    Identity,
}

impl LinkErrorKind {
    /// The kind, one of a fixed set.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Auth => "auth",
            Self::Forbidden => "forbidden",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed-out",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Identity => "identity",
        }
    }
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

/// A message on its way to a node. Resolves to the number of subscribers that got it, or to an error.
pub(crate) enum Publishing {
    /// The result is known already.
    Done(Ready<Result<u64, LinkError>>),
    /// The result will arrive within the time limit of the connection, or a few times that while others are being
    /// answered.
    Answer(oneshot::Receiver<Result<u64, LinkError>>),
    /// The message is sent when this is polled, and may take any time.
    Polled(Boxed<'static, Result<u64, LinkError>>),
}

impl Publishing {
    /// A message that could not be sent.
    pub(crate) fn failed(error: LinkError) -> Self {
        Self::Done(ready(Err(error)))
    }

    /// Waits for the result, at most for `limit` if the connection has no time limit of its own.
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

/// Fails with `TimedOut` when the call takes longer than the limit.
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
    /// Publishes a message. Messages that are published, and first polled, in order are sent in order. A message whose
    /// future is dropped or times out may have been sent, or may be sent later.
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing;

    /// As [`Publisher::publish`], but never rejected because too much waits: to find out whether the node is reachable.
    fn probe(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.publish(channel, payload)
    }

    /// The run of Redis that the connection leads to, if the node says so.
    fn run(&self) -> Option<RunId> {
        None
    }
}

/// Something that a subscriber received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A message.
    Message { channel: Bytes, payload: Bytes },
    /// The oldest pending subscription or unsubscription is in effect.
    Confirmed,
    /// The oldest pending call of [`Subscriber::subscribe`] was rejected as a whole: the node does not allow this user
    /// to use at least one of its channels.
    Rejected,
}

/// The subscribing half of a connection to a node.
pub(crate) trait Subscriber: Send {
    /// How many bytes the node buffers for the subscriber before it ends the connection, if the node says so.
    fn holds(&self) -> Option<usize> {
        None
    }

    /// The number that the node gave this connection, if it says so.
    fn number(&self) -> Option<SubscriberNumber> {
        None
    }

    /// The run of Redis that the connection leads to, if the node says so.
    fn run(&self) -> Option<RunId> {
        None
    }

    /// Subscribes to channels. Answers arrive through `next`: one per channel, in order, or a single one if the call is
    /// rejected. Without channels, does nothing.
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    /// Unsubscribes from channels. Answers arrive through `next`, one per channel, in order. Without channels, does
    /// nothing.
    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    /// Waits for at least one arrival. Returns at most what one read brought. Dropping the future loses nothing.
    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>>;
}
