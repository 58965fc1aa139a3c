//! What listeners get: an event with the way back to its sender, or a message of a channel. Apart from the way
//! back, they are plain values.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span};

use super::answers::WayBack;
use crate::cluster::Deadline;
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
    /// Of a request that is to be carried out once: its idempotency key, see [`RequestOptions::key`](crate::RequestOptions::key).
    /// A service that must not do it twice even after its own restart stores the key with the work.
    pub key: Option<Arc<str>>,
    pub(crate) deadline: Deadline,
    pub(crate) way_back: Option<Arc<WayBack>>,
}

impl ServerEvent {
    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool {
        self.way_back.is_some()
    }

    /// How long the sender still waits for the reply. None: for an event that is not a request, and for a request of a server
    /// that does not say how long it waits (earlier versions, the JavaScript package).
    ///
    /// A request whose time is over before a listener gets it is not handed to the listener. A handler that is running is not
    /// interrupted: it may look here, or wait for [`ServerEvent::abandoned`].
    pub fn remaining(&self) -> Option<Duration> {
        let until = self.deadline.until()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Whether the sender has given up: nobody gets the reply any more.
    pub fn is_abandoned(&self) -> bool {
        self.deadline.is_over(Instant::now())
    }

    /// Resolves when the sender has given up; never, if it does not say how long it waits.
    ///
    /// ```no_run
    /// # async fn compute() -> u32 { 7 }
    /// # fn example(adapter: wsmesh_adapter::Adapter) {
    /// use wsmesh_adapter::Refusal;
    ///
    /// adapter.on_request("report", |event| async move {
    ///     tokio::select! {
    ///         report = compute() => Ok(report),
    ///         () = event.abandoned() => Err(Refusal::new("UNAVAILABLE", "nobody waits for this report any more")),
    ///     }
    /// });
    /// # }
    /// ```
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let deadline = self.deadline.clone();
        async move {
            while let Some(until) = deadline.until() {
                if until <= Instant::now() {
                    return;
                }
                // A repeat of the request may have moved it meanwhile.
                sleep_until(until).await;
            }
            std::future::pending().await
        }
    }

    /// A listener is about to get it; `false` if it is a request and its sender has given up.
    pub(crate) fn begin(&self) -> bool {
        self.way_back.as_ref().is_none_or(|way_back| way_back.begin())
    }

    /// Answers the sender. Does nothing for an event that is not a request, when somebody has answered already, and when the
    /// sender has given up.
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
            tracing::error!(
                event,
                "the reply to a request cannot be JSON: correct the handler of this event: {error}"
            );
            Missing::NoReply
        });
        if let Err(error) = way_back.answer(reply).await {
            tracing::debug!(event, peer = %way_back.server(), "a request could not be answered: {error}");
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
    /// CONSUMER span of its handling, child of the sender's, if the sender traces it; instrument the handling with it.
    pub span: Span,
}
