//! Who listens to what the server pushes. A slow listener misses events and can see how many; it never holds up others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::Stream;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use wsmesh_protocol::frame;

use crate::connector::Connector;
use crate::error::SendError;

/// What the server pushed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub event: Arc<str>,
    /// What it carries.
    pub payload: Box<RawValue>,
    /// The id of a request that wants an answer.
    pub(crate) request_id: Option<Arc<str>>,
}

/// A request of the server to this client.
#[derive(Debug)]
pub struct ServerRequest {
    /// What it carries.
    pub payload: Box<RawValue>,
    pub(crate) request_id: Arc<str>,
    pub(crate) connector: Connector,
}

impl ServerRequest {
    /// Answers it.
    ///
    /// # Errors
    /// When the connection is not open any more.
    pub async fn answer<T: Serialize + ?Sized>(self, payload: &T) -> Result<(), SendError> {
        self.connector
            .send_frame(frame::answer(&self.request_id, payload))
            .await
    }
}

impl Event {
    /// The request, if the server wants an answer.
    pub fn into_request(self, connector: &Connector) -> Option<ServerRequest> {
        let (request_id, payload) = (self.request_id?, self.payload);
        Some(ServerRequest {
            payload,
            request_id,
            connector: connector.clone(),
        })
    }
}

#[derive(Debug)]
struct Entry {
    queue: mpsc::Sender<Event>,
    missed: Arc<AtomicU64>,
}

/// The listeners of one connector.
#[derive(Debug)]
pub(crate) struct Listeners {
    by_event: Mutex<HashMap<Arc<str>, Vec<Entry>>>,
    capacity: usize,
}

impl Listeners {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            by_event: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    pub(crate) fn add(&self, event: &str) -> Listener {
        let (queue, events) = mpsc::channel(self.capacity);
        let missed = Arc::new(AtomicU64::new(0));
        let entry = Entry {
            queue,
            missed: missed.clone(),
        };
        let mut by_event = self.by_event.lock().unwrap_or_else(PoisonError::into_inner);
        by_event.entry(Arc::from(event)).or_default().push(entry);
        Listener { events, missed }
    }

    /// Hands an event to every listener of it; those that were dropped are forgotten.
    pub(crate) fn dispatch(&self, event: &str, payload: &RawValue, request_id: Option<&str>) {
        let mut by_event = self.by_event.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((name, entries)) = by_event
            .get_key_value(event)
            .map(|(name, _)| name.clone())
            .and_then(|name| {
                let entries = by_event.get_mut(&name)?;
                Some((name, entries))
            })
        else {
            return;
        };
        entries.retain(|entry| {
            let request_id = request_id.map(Arc::from);
            let sent = entry.queue.try_send(Event {
                event: name.clone(),
                payload: payload.to_owned(),
                request_id,
            });
            if let Err(mpsc::error::TrySendError::Full(_)) = sent {
                entry.missed.fetch_add(1, Ordering::Relaxed);
            }
            !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
        });
        if entries.is_empty() {
            by_event.remove(event);
        }
    }
}

/// One event's pushes as a stream; dropping it ends listening.
#[derive(Debug)]
pub struct Listener {
    events: mpsc::Receiver<Event>,
    missed: Arc<AtomicU64>,
}

impl Listener {
    /// Waits for the next one; `None` when the connector has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How many were dropped because too many waited here.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Event>> {
        self.events.poll_recv(cx)
    }
}
