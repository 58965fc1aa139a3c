//! The trait for what is asked of a node besides publishing and subscribing: facts about itself, and what it allows.
//!
//! None of this is on the way of a message. A connection for it is opened when somebody asks, by whoever asks, and never
//! reconnects by itself. Every call ends within the time limit of the endpoint.

use super::facts::NodeFacts;
use super::link::{Boxed, Channel, LinkError, SubscriberNumber};
use crate::wire::ServerName;

/// Which Redis it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Its version, as the version of Redis that it is compatible with.
    pub(crate) version: Option<String>,
    /// What it calls this run of itself.
    pub(crate) run_id: Option<String>,
    /// Why it is not one independent Redis, if it is not.
    pub(crate) dependence: Option<String>,
}

/// What this server's user may do on some channels: what the node said against it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) publish_denied: Option<String>,
    pub(crate) subscribe_denied: Option<String>,
}

/// How much a node buffers for a subscriber before it ends the connection, in bytes; 0 means without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BufferLimit {
    /// It ends the connection at once.
    pub(crate) hard: u64,
    /// It ends the connection if more than this waits for `soft_seconds`.
    pub(crate) soft: u64,
    pub(crate) soft_seconds: u64,
}

/// A connection for questions. Dropping it closes it.
pub(crate) trait Inquiry: Send {
    /// What the node says about itself. `subscribers` are the connections of our servers, whose buffers are of interest.
    fn facts<'a>(
        &'a mut self,
        subscribers: &'a [(ServerName, SubscriberNumber)],
    ) -> Boxed<'a, Result<NodeFacts, LinkError>>;
    /// Which Redis it is.
    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>>;
    /// Closes the connection, and waits until it is closed.
    fn close(self: Box<Self>) -> Boxed<'static, ()>;
}

/// A connection for questions to an address that may become a node: whatever it answers, it costs no more than its own result.
/// Dropping it closes it.
pub(crate) trait Interview: Send {
    /// Which Redis it is.
    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>>;
    /// What this server's user may do on these channels; none if the node does not say.
    fn rights<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<Option<Rights>, LinkError>>;
    /// How much it buffers for a subscriber; none if it does not say.
    fn buffer_limit(&mut self) -> Boxed<'_, Result<Option<BufferLimit>, LinkError>>;
}
