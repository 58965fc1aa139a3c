//! The table of handlers: one immutable value, replaced as a whole, so that a shard reads it without waiting.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use wsmesh_adapter::Refusal;

use super::client::Client;
use super::news::{ClientFault, Closed, Handling, RawMessage};
use crate::event_metrics::{EventMetrics, EventSeries};

/// A registered handler, for [`Handlers::off`](super::Handlers::off).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandlerId(pub(super) u64);

/// A handler at work.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) type OnEvent = dyn Fn(Client, &RawValue) -> Running<Result<Bytes, Refusal>> + Send + Sync;
pub(crate) type OnConnection = dyn Fn(Client) -> Running<()> + Send + Sync;
pub(crate) type OnClose = dyn Fn(Client, Closed) -> Running<()> + Send + Sync;
pub(crate) type OnError = dyn Fn(Client, ClientFault) -> Running<()> + Send + Sync;
pub(crate) type OnPong = dyn Fn(Client, Duration) -> Running<()> + Send + Sync;
pub(crate) type OnMessage = dyn Fn(Client, RawMessage) -> Running<Handling> + Send + Sync;

/// A handler in the table.
pub(crate) struct Entry<F: ?Sized> {
    pub(super) id: HandlerId,
    pub(super) tag: Option<Box<str>>,
    /// For a handler that runs once: whether it has been taken.
    pub(super) taken: Option<AtomicBool>,
    pub(crate) run: Box<F>,
}

impl<F: ?Sized> Entry<F> {
    /// Whether it is to run for one more event; the only event of one that runs once is counted by this.
    fn take(&self) -> bool {
        self.taken
            .as_ref()
            .is_none_or(|taken| !taken.swap(true, Ordering::Relaxed))
    }

    fn is_spent(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.load(Ordering::Relaxed))
    }
}

/// Handlers for one thing, in the order in which they were registered.
pub(crate) type Listed<F> = Vec<Arc<Entry<F>>>;

/// The handlers of one event.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) event: Arc<str>,
    pub(super) entries: Listed<OnEvent>,
    /// Counts what comes of the event, once the ws-node has started.
    series: OnceLock<EventSeries>,
}

impl Found {
    /// Counts what comes of the event. Looked up at the first one.
    pub(crate) fn series(&self, metrics: &EventMetrics) -> EventSeries {
        *self.series.get_or_init(|| metrics.of(&self.event))
    }

    /// Those that run for one more event.
    pub(crate) fn take(&self) -> Listed<OnEvent> {
        self.entries.iter().filter(|entry| entry.take()).cloned().collect()
    }

    /// Whether some of them have run for the last time.
    pub(crate) fn has_spent(&self) -> bool {
        self.entries.iter().any(|entry| entry.is_spent())
    }

    /// Whether none of them is to run any more.
    pub(super) fn is_spent(&self) -> bool {
        self.entries.iter().all(|entry| entry.is_spent())
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// All handlers.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) events: HashMap<Arc<str>, Arc<Found>>,
    pub(super) connection: Listed<OnConnection>,
    pub(super) close: Listed<OnClose>,
    pub(super) error: Listed<OnError>,
    pub(super) pong: Listed<OnPong>,
    pub(super) message: Listed<OnMessage>,
}

/// Things that there may be handlers for, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wanted {
    Events = 1,
    Connections = 2,
    Closings = 4,
    Errors = 8,
    Pongs = 16,
    Messages = 32,
}

impl Table {
    /// What there are handlers for.
    pub(super) fn wanted(&self) -> u8 {
        [
            (Wanted::Events, self.events.is_empty()),
            (Wanted::Connections, self.connection.is_empty()),
            (Wanted::Closings, self.close.is_empty()),
            (Wanted::Errors, self.error.is_empty()),
            (Wanted::Pongs, self.pong.is_empty()),
            (Wanted::Messages, self.message.is_empty()),
        ]
        .into_iter()
        .filter(|(_, is_empty)| !is_empty)
        .map(|(wanted, _)| wanted as u8)
        .sum()
    }

    pub(super) fn add(&mut self, event: &str, entry: Entry<OnEvent>) {
        let event: Arc<str> = event.into();
        let found = self.events.entry(Arc::clone(&event)).or_insert_with(|| {
            Arc::new(Found {
                event,
                entries: Vec::new(),
                series: OnceLock::new(),
            })
        });
        Arc::make_mut(found).entries.push(Arc::new(entry));
    }

    /// Takes out the handlers of events that `is_out` names; returns how many.
    pub(super) fn remove_events(&mut self, is_out: impl Fn(&str, &Entry<OnEvent>) -> bool) -> usize {
        let mut removed = 0;
        for found in self.events.values_mut() {
            if found.entries.iter().any(|entry| is_out(&found.event, entry)) {
                let Found { event, entries, .. } = Arc::make_mut(found);
                removed += remove(entries, |entry| is_out(event, entry));
            }
        }
        self.events.retain(|_, found| !found.entries.is_empty());
        removed
    }

    /// Takes a handler out, whatever it is for; `false` if it is not there.
    pub(super) fn remove(&mut self, id: HandlerId) -> bool {
        let removed = self.remove_events(|_, entry| entry.id == id)
            + remove(&mut self.connection, |entry| entry.id == id)
            + remove(&mut self.close, |entry| entry.id == id)
            + remove(&mut self.error, |entry| entry.id == id)
            + remove(&mut self.pong, |entry| entry.id == id)
            + remove(&mut self.message, |entry| entry.id == id);
        removed > 0
    }

    /// Takes out those that have run for the last time.
    pub(super) fn remove_spent(&mut self) {
        self.remove_events(|_, entry| entry.is_spent());
    }
}

fn remove<F: ?Sized>(listed: &mut Listed<F>, is_out: impl Fn(&Entry<F>) -> bool) -> usize {
    let before = listed.len();
    listed.retain(|entry| !is_out(entry));
    before - listed.len()
}
