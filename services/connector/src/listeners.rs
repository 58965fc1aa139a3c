//! Listeners: streams of events, of the server's requests and of the connection's own events. Each has a bounded queue. A
//! listener that does not keep up misses items, counts them, and does not delay others.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;
use wsmesh_protocol::{ErrorCode, frame};

use crate::{EmitError, Lifecycle, Payload};

/// An event that the server pushed.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub name: Arc<str>,
    /// Its payload.
    pub payload: Payload,
}

/// A request of the server, to be answered with [`answer`](Self::answer) or [`refuse`](Self::refuse). If it is
/// dropped without either, the server waits until its own time limit.
#[derive(Debug)]
pub struct ServerRequest {
    /// Its name.
    pub name: Arc<str>,
    /// Its payload.
    pub payload: Payload,
    pub(crate) request_id: Box<str>,
    pub(crate) frames: mpsc::Sender<String>,
}

impl ServerRequest {
    /// Sends the answer.
    ///
    /// # Errors
    /// When the payload cannot be JSON, or the connection that the request came by has ended.
    pub async fn answer<T: Serialize + ?Sized>(self, payload: &T) -> Result<(), EmitError> {
        let payload = serde_json::value::to_raw_value(payload).map_err(EmitError::Payload)?;
        let text = frame::answer(&self.request_id, &payload);
        self.frames.send(text).await.map_err(|_| EmitError::NotOpen)
    }

    /// Refuses it: answers `{"error": TEXT, "errorCode": CODE}`.
    ///
    /// # Errors
    /// When the connection that the request came by has ended.
    pub async fn refuse(self, code: ErrorCode, text: &str) -> Result<(), EmitError> {
        let refusal = refusal(&self.request_id, code, text);
        self.frames.send(refusal).await.map_err(|_| EmitError::NotOpen)
    }

    /// Refuses at once if the queue has room: for requests without a listener.
    fn turn_away(self, code: ErrorCode, text: &str) {
        if self.frames.try_send(refusal(&self.request_id, code, text)).is_err() {
            tracing::debug!(event = %self.name, "a request of the server was not answered: the send queue is full");
        }
    }
}

fn refusal(request_id: &str, code: ErrorCode, text: &str) -> String {
    frame::answer(request_id, &serde_json::json!({"error": text, "errorCode": code}))
}

/// A stream of items. After the task ends or [`off`](crate::Client::off) is called, it ends with the last item in its queue.
/// Dropping it stops listening.
#[derive(Debug)]
pub struct Listener<T> {
    items: mpsc::Receiver<T>,
    missed: Arc<AtomicU64>,
}

impl<T> Listener<T> {
    /// The next item; `None` once it has ended.
    pub async fn recv(&mut self) -> Option<T> {
        self.items.recv().await
    }

    /// How many items were left out because this listener's queue was full.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl<T> Stream for Listener<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(cx)
    }
}

/// The other end of a [`Listener`].
#[derive(Debug)]
struct Feed<T> {
    items: mpsc::Sender<T>,
    missed: Arc<AtomicU64>,
}

impl<T> Feed<T> {
    fn open(queue: usize) -> (Self, Listener<T>) {
        let (sender, items) = mpsc::channel(queue);
        let missed = Arc::new(AtomicU64::new(0));
        let feed = Self {
            items: sender,
            missed: Arc::clone(&missed),
        };
        (feed, Listener { items, missed })
    }

    /// Queues an item; returns it when the queue is full. The first missed item of a listener is logged.
    fn give(&self, item: T) -> Result<(), T> {
        match self.items.try_send(item) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(item)) => Err(item),
            Err(mpsc::error::TrySendError::Full(item)) => {
                if self.missed.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("a listener does not keep up and misses items; see Listener::missed");
                }
                Err(item)
            }
        }
    }

    fn stands(&self) -> bool {
        !self.items.is_closed()
    }
}

/// One listener of an event: whether it ends after one, and the tag under which it can be removed.
#[derive(Debug)]
struct Hearer {
    feed: Feed<Event>,
    once: bool,
    tag: Option<Box<str>>,
}

/// All listeners of one client. After [`close`](Self::close) new ones end at once.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    events: HashMap<Arc<str>, Vec<Hearer>>,
    any: Vec<Feed<Event>>,
    requests: HashMap<Arc<str>, Feed<ServerRequest>>,
    lifecycle: Vec<Feed<Lifecycle>>,
    closed: bool,
}

impl Listeners {
    pub(crate) fn on(&mut self, event: &str, tag: Option<&str>, queue: usize) -> Listener<Event> {
        self.hear(event, tag, queue, false)
    }

    /// Listens to one event only.
    pub(crate) fn once(&mut self, event: &str, tag: Option<&str>) -> Listener<Event> {
        self.hear(event, tag, 1, true)
    }

    fn hear(&mut self, event: &str, tag: Option<&str>, queue: usize, once: bool) -> Listener<Event> {
        let (feed, listener) = Feed::open(queue);
        if !self.closed {
            let tag = tag.map(Box::from);
            let hearer = Hearer { feed, once, tag };
            // Names without listeners are removed here, so that one-time names do not accumulate.
            self.keep(|_, hearer| hearer.feed.stands());
            self.events.entry(Arc::from(event)).or_default().push(hearer);
        }
        listener
    }

    /// Ends the listeners of an event: those with this tag, or all if there is no tag.
    pub(crate) fn off(&mut self, event: &str, tag: Option<&str>) {
        self.keep(|name, hearer| name != event || tag.is_some_and(|tag| hearer.tag.as_deref() != Some(tag)));
    }

    fn keep(&mut self, keeps: impl Fn(&str, &Hearer) -> bool) {
        self.events.retain(|name, hearers| {
            hearers.retain(|hearer| keeps(name, hearer));
            !hearers.is_empty()
        });
    }

    pub(crate) fn on_any(&mut self, queue: usize) -> Listener<Event> {
        let (feed, listener) = Feed::open(queue);
        if !self.closed {
            self.any.push(feed);
        }
        listener
    }

    pub(crate) fn on_request(&mut self, event: &str, queue: usize) -> Listener<ServerRequest> {
        let (feed, listener) = Feed::open(queue);
        if !self.closed {
            self.requests.retain(|_, feed| feed.stands());
            self.requests.insert(Arc::from(event), feed);
        }
        listener
    }

    pub(crate) fn on_lifecycle(&mut self, queue: usize) -> Listener<Lifecycle> {
        let (feed, listener) = Feed::open(queue);
        if !self.closed {
            self.lifecycle.push(feed);
        }
        listener
    }

    pub(crate) fn event(&mut self, name: &str, payload: &Payload) {
        if let Some((name, hearers)) = self.events.get_key_value(name) {
            for hearer in hearers {
                let _missed = hearer.feed.give(Event {
                    name: Arc::clone(name),
                    payload: payload.clone(),
                });
            }
        }
        if let Some(hearers) = self.events.get_mut(name) {
            hearers.retain(|hearer| !hearer.once);
        }
        if self.any.is_empty() {
            return;
        }
        let name: Arc<str> = Arc::from(name);
        self.any.retain(Feed::stands);
        for feed in &self.any {
            let _missed = feed.give(Event {
                name: Arc::clone(&name),
                payload: payload.clone(),
            });
        }
    }

    pub(crate) fn request(&self, request: ServerRequest) {
        match self.requests.get(&*request.name).filter(|feed| feed.stands()) {
            None => request.turn_away(ErrorCode::UnknownEvent, "this client does not answer it"),
            Some(feed) => {
                if let Err(request) = feed.give(request) {
                    request.turn_away(ErrorCode::Overloaded, "this client has too many waiting requests");
                }
            }
        }
    }

    pub(crate) fn lifecycle(&mut self, happened: &Lifecycle) {
        self.lifecycle.retain(Feed::stands);
        for feed in &self.lifecycle {
            let _missed = feed.give(happened.clone());
        }
    }

    /// Ends every listener, and every later one at once.
    pub(crate) fn close(&mut self) {
        *self = Self {
            closed: true,
            ..Self::default()
        };
    }
}
