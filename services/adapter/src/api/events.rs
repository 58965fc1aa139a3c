//! Listening for events of other servers: with a handler, or as a stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::adapter::Adapter;
use crate::cluster::{ListenerId, Listeners};
use crate::flow::inward::event::ServerEvent;
use crate::wire::Refusal;

/// A listener as a stream. Dropping it ends it; requests that still wait in it are answered as unhandled.
#[derive(Debug)]
pub struct Listener {
    id: ListenerId,
    listeners: Arc<Listeners<ServerEvent>>,
    events: mpsc::Receiver<ServerEvent>,
}

impl Listener {
    /// Waits for the next event; `None` when the listener was ended by [`Adapter::off`](crate::Adapter::off). Requests whose
    /// senders have given up meanwhile are left out.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Listener {
    type Item = ServerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerEvent>> {
        loop {
            match self.events.poll_recv(cx) {
                Poll::Ready(Some(event)) if !event.begin() => drop(event),
                polled => return polled,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listeners.remove(self.id);
    }
}

impl Adapter {
    /// Listens for an event as a stream. Several listeners may want one event.
    pub fn listen(&self, event: &str) -> Listener {
        let listeners = self.parts.flow.dispatch.events().clone();
        let (id, events) = listeners.add(event, None, false);
        Listener { id, listeners, events }
    }

    /// Listens with a handler. A listener handles one event after the other, on the runtime from which it is added (the
    /// adapter's, if there is none); a handler that waits for long should spawn. A request whose sender has given up before the
    /// handler gets it is left out; a handler that is running is not interrupted, see [`ServerEvent::abandoned`].
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) {
    /// adapter.on("greet", |event| async move {
    ///     let _ = event.reply(wsmesh_adapter::Payload::from_json(r#"{"msg":"hello"}"#)).await;
    /// });
    /// # }
    /// ```
    pub fn on<F, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, None, false, handler)
    }

    /// Listens for requests with a handler whose result is the reply: a value, or a [`Refusal`]. As with [`Adapter::on`], requests
    /// are handled one after the other. The event that the handler gets cannot be answered in another way.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) {
    /// use wsmesh_adapter::Refusal;
    ///
    /// adapter.on_request("double", |event| async move {
    ///     let number: u32 = event.payload.parse().map_err(|_| Refusal::new("BAD_PAYLOAD", "send a number"))?;
    ///     Ok::<_, Refusal>(number * 2)
    /// });
    /// # }
    /// ```
    pub fn on_request<F, Fut, T>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Refusal>> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        self.on(event, move |mut event| {
            let (name, replying) = (event.event.clone(), event.take_replying());
            let handling = handler(event);
            async move { replying.reply(&name, handling.await).await }
        })
    }

    /// As [`Adapter::on`], under a tag for [`Adapter::off_tag`].
    pub fn on_tagged<F, Fut>(&self, event: &str, tag: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, Some(tag), false, handler)
    }

    /// Handles the next event only.
    pub fn once<F, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, None, true, handler)
    }

    fn handle<F, Fut>(&self, event: &str, tag: Option<&str>, once: bool, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (id, mut events) = self.parts.flow.dispatch.events().add(event, tag, once);
        let tasks = &self.parts.foundation.tasks;
        let stop = tasks.stop().clone();
        let task = async move {
            while let Some(Some(event)) = stop.run_until_cancelled(events.recv()).await {
                // A listener for one event gets it in any case: there will be no other.
                if !event.begin() && !once {
                    continue;
                }
                let span = event.span.clone();
                // What it spawns before its first wait belongs to the span, too.
                let handling = span.in_scope(|| handler(event));
                handling.instrument(span).await;
                if once {
                    break;
                }
            }
        };
        tasks.spawn_for_caller(task);
        id
    }

    /// Ends a listener; `false` if it has ended before.
    pub fn off(&self, listener: ListenerId) -> bool {
        self.parts.flow.dispatch.events().remove(listener)
    }

    /// Ends every listener of an event that has this tag; returns how many.
    pub fn off_tag(&self, event: &str, tag: &str) -> usize {
        self.parts.flow.dispatch.events().remove_tagged(event, tag)
    }
}
