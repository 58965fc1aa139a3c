//! What listeners get: an event with the way back to its sender, or a message of a channel. Apart from the way
//! back, they are plain values.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tracing::{Instrument, Span};

use super::answers::WayBack;
use crate::error::PublishError;
use crate::wire::{Missing, Payload, Refusal, ServerName};

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

    /// As [`ServerEvent::reply`], with a value.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) {
    /// adapter.on("greet", |event| async move {
    ///     let _ = event.reply_with(&serde_json::json!({"msg": "hello"})).await;
    /// });
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be JSON, and as [`ServerEvent::reply`].
    pub async fn reply_with<T: Serialize + ?Sized>(self, value: &T) -> Result<(), PublishError> {
        let payload = Payload::new(value)?;
        self.reply(payload).await
    }

    /// Answers that the request is not done: with a code for programs, such as `NOT_FOUND`, and a text for people. The requester
    /// gets it as [`CallError::Refused`](crate::CallError::Refused); a client whose request a ws-node forwarded gets
    /// `{"error": TEXT, "errorCode": CODE}`.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) {
    /// adapter.on("placeBid", |event| async move {
    ///     let _ = event.refuse("NOT_ALLOWED", "the auction is over").await;
    /// });
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ServerEvent::reply`].
    pub async fn refuse(
        self,
        code: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Result<(), PublishError> {
        let refusal = Refusal::new(code, text).payload()?;
        self.reply(refusal).await
    }

    /// Takes the way back out: the event itself can no longer be answered.
    pub(crate) fn take_replying(&mut self) -> Replying {
        Replying {
            way_back: self.way_back.take(),
        }
    }
}

/// A reply to a request, to be sent later.
pub(crate) struct Replying {
    way_back: Option<Arc<WayBack>>,
}

impl Replying {
    /// Sends the result of a handler: the reply, or a refusal.
    pub(crate) async fn reply<T: Serialize>(self, event: &str, result: Result<T, Refusal>) {
        let Some(way_back) = self.way_back else {
            return;
        };
        let payload = match result {
            Ok(value) => Payload::new(&value),
            Err(refusal) => refusal.payload(),
        };
        let reply = payload.map_err(|error| {
            tracing::error!(event, "the reply to a request cannot be JSON: {error}");
            Missing::NoReply
        });
        if let Err(error) = way_back.answer(reply).await {
            tracing::debug!(event, server = %way_back.server(), "a request could not be answered: {error}");
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
