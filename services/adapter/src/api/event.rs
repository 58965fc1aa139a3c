//! An event that arrived, and the way back to whoever sent it.
//!
//! A request is answered once: the first answer counts. One that is dropped without an answer tells its sender so at
//! once, so nobody waits for a listener that has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Instrument, Span};

use crate::api::adapter::Inner;
use crate::cluster::ListenerId;
use crate::error::{Missing, PublishError};
use crate::wire::{Payload, ServerName};

/// An event that arrived from another server (or this one).
#[derive(Debug)]
pub struct ServerEvent {
    /// Its name.
    pub event: Arc<str>,
    /// Who sent it.
    pub sender: ServerName,
    /// What it carries.
    pub payload: Payload,
    /// CONSUMER span of its handling, child of the sender's; instrument the handling with it.
    pub span: Span,
    /// How old it is, at least: of a copy, which was published again after a node or a connection failed, the time since it
    /// was published first. Else zero: what is sent arrives within moments.
    pub age: Duration,
    pub(crate) way_back: Option<Arc<WayBack>>,
}

impl ServerEvent {
    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool {
        self.way_back.is_some()
    }

    /// Answers the sender. Does nothing for an event that is no request, and when somebody has answered already.
    ///
    /// # Errors
    /// When the answer could not be handed to any node; the sender then runs into its time-out.
    pub async fn reply(mut self, payload: Payload) -> Result<(), PublishError> {
        match self.way_back.take() {
            Some(way_back) => way_back.answer(Ok(payload)).instrument(self.span.clone()).await,
            None => Ok(()),
        }
    }
}

/// To whom a request's answer goes.
#[derive(Debug)]
pub(crate) struct WayBack {
    pub(crate) inner: Arc<Inner>,
    pub(crate) server: ServerName,
    pub(crate) callback_id: String,
    pub(crate) answered: AtomicBool,
    /// Held until it is answered, or dropped: a server that leaves waits for it.
    #[expect(dead_code, reason = "held")]
    pub(crate) tracked: TaskTrackerToken,
}

impl WayBack {
    /// Nobody is to be told anything.
    pub(crate) fn forget(&self) {
        self.answered.store(true, Ordering::Release);
    }

    pub(crate) async fn answer(&self, reply: Result<Payload, Missing>) -> Result<(), PublishError> {
        if self.answered.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.inner
            .metrics
            .requests
            .with_label_values(&["in", result_label(&reply)])
            .inc();
        self.inner.send_reply(&self.server, &self.callback_id, reply).await
    }
}

fn result_label(reply: &Result<Payload, Missing>) -> &'static str {
    match reply {
        Ok(_) => "ok",
        Err(missing) => missing.label(),
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if self.answered.swap(true, Ordering::AcqRel) {
            return;
        }
        self.inner
            .metrics
            .requests
            .with_label_values(&["in", Missing::NoReply.label()])
            .inc();
        let (inner, server) = (self.inner.clone(), self.server.clone());
        let callback_id = std::mem::take(&mut self.callback_id);
        let task = async move {
            if let Err(error) = inner.send_reply(&server, &callback_id, Err(Missing::NoReply)).await {
                tracing::debug!(%server, "could not say that there is no reply: {error}");
            }
        };
        self.inner.tasks.spawn_on(task, &self.inner.runtime);
    }
}

/// A listener as a stream. Dropping it ends it; what waits in it is answered as unhandled.
#[derive(Debug)]
pub struct Listener {
    pub(crate) id: ListenerId,
    pub(crate) inner: Arc<Inner>,
    pub(crate) events: mpsc::Receiver<ServerEvent>,
}

impl Listener {
    /// Waits for the next event; `None` when the listener was ended by [`Adapter::off`](crate::Adapter::off).
    pub async fn next(&mut self) -> Option<ServerEvent> {
        self.events.recv().await
    }
}

impl Stream for Listener {
    type Item = ServerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.listeners.remove(self.id);
    }
}
