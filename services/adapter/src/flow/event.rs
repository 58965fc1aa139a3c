//! What listeners get: an event with the way back to its sender, or a message of a channel. Values; they hold no handle.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span};

use super::answers::WayBack;
use crate::error::PublishError;
use crate::wire::{Payload, ServerName};

/// An event that arrived from another server (or this one).
#[derive(Debug)]
pub struct ServerEvent {
    /// Its name.
    pub event: Arc<str>,
    /// The server that sent it.
    pub sender: ServerName,
    /// What it carries.
    pub payload: Payload,
    /// CONSUMER span of its handling, child of the sender's; instrument the handling with it.
    pub span: Span,
    /// How old it is, at least: of a copy, which was published again after a node or a connection failed, the time since it
    /// was published first. Else zero: an event arrives within moments.
    pub age: Duration,
    pub(crate) way_back: Option<Arc<WayBack>>,
}

impl ServerEvent {
    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool {
        self.way_back.is_some()
    }

    /// Answers the sender. Does nothing for an event that is not a request, and when somebody has answered already.
    ///
    /// # Errors
    /// When no node took the answer; the sender then waits until its time limit.
    pub async fn reply(mut self, payload: Payload) -> Result<(), PublishError> {
        match self.way_back.take() {
            Some(way_back) => way_back.answer(Ok(payload)).instrument(self.span.clone()).await,
            None => Ok(()),
        }
    }
}

/// A message that arrived on a custom channel.
#[derive(Debug, Clone)]
pub struct ChannelMessage {
    /// The server that sent it, if it says so.
    pub sender: Option<ServerName>,
    /// The whole map, except `wm`.
    pub payload: Payload,
}
