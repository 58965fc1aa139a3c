//! Where a program registers its handlers, before the start or at any time later.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use wsmesh_adapter::Refusal;
use wsmesh_protocol::ErrorCode;

use super::client::Client;
use super::news::{ClientFault, Closed, Handling, RawMessage};
use super::reply::IntoReply;
use super::table::{
    Entry, Found, HandlerId, Listed, OnClose, OnConnection, OnError, OnEvent, OnMessage, OnPong, Running, Table, Wanted,
};
use crate::routes::settings::CREDENTIAL_EVENTS;

/// Why a handler was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// The event has no name.
    #[error("a handler needs the name of an event")]
    NoEvent,
    /// The event is one of the servers' own.
    #[error("{0:?} is reserved for the servers: choose another event")]
    Reserved(String),
    /// The event carries tokens of clients, which programs do not see.
    #[error("{0:?} carries tokens of clients, which no handler may see: choose another event")]
    Credentials(String),
}

/// The handlers of a ws-node: a cheap handle on all of them. They can be added and taken out while clients are connected.
///
/// ```
/// use serde::Deserialize;
/// use ws_node::{Client, Handlers, Refusal};
///
/// #[derive(Deserialize)]
/// struct Bid {
///     amount: u32,
/// }
///
/// let handlers = Handlers::new();
/// let bids = handlers.on("placeBid", |client: Client, bid: Bid| async move {
///     if bid.amount == 0 {
///         return Err(Refusal::new("NOT_ALLOWED", "bid more than nothing"));
///     }
///     Ok(format!("{} bids {}", client.id(), bid.amount))
/// })?;
/// assert!(handlers.off(bids));
/// # Ok::<(), ws_node::HandlerError>(())
/// ```
#[derive(Clone, Default)]
pub struct Handlers(Arc<Inner>);

type IsTaken = Box<dyn Fn(&str) -> bool + Send + Sync>;

#[derive(Default)]
struct Inner {
    table: ArcSwap<Table>,
    /// The bits of [`Wanted`], so that a thing without handlers costs one load.
    wanted: AtomicU8,
    /// Held while the table is replaced.
    changing: Mutex<()>,
    last_id: AtomicU64,
    /// Whether something else handles an event, once the ws-node has started.
    is_taken: OnceLock<IsTaken>,
}

impl Handlers {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles an event of clients. The payload is read as `T`; if it cannot be, the client is answered `BAD_PAYLOAD`, with what is
    /// wrong. Take [`serde_json::Value`] or a boxed [`RawValue`] to read it yourself. The result is the reply, if the client
    /// wants one. An event may have several handlers: they run one after the other, and the first one's result is the reply.
    ///
    /// # Errors
    /// When no handler may handle this event: see [`HandlerError`].
    pub fn on<T, F, Fut>(&self, event: &str, handler: F) -> Result<HandlerId, HandlerError>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.add_event(event, None, false, handler)
    }

    /// As [`Handlers::on`], under a tag for [`Handlers::off_tag`].
    ///
    /// # Errors
    /// As [`Handlers::on`].
    pub fn on_tagged<T, F, Fut>(&self, event: &str, tag: &str, handler: F) -> Result<HandlerId, HandlerError>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.add_event(event, Some(tag), false, handler)
    }

    /// Handles the next event of this name only, from whichever client.
    ///
    /// # Errors
    /// As [`Handlers::on`].
    pub fn once<T, F, Fut>(&self, event: &str, handler: F) -> Result<HandlerId, HandlerError>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.add_event(event, None, true, handler)
    }

    /// A client is logged in. This runs before the handlers of its events.
    pub fn on_connection<F, Fut>(&self, handler: F) -> HandlerId
    where
        F: Fn(Client) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let run: Box<OnConnection> = Box::new(move |client| Box::pin(handler(client)));
        self.add(run, |table| &mut table.connection)
    }

    /// A connection has ended. This runs after the handlers of its events; the client is not in its rooms any more.
    pub fn on_close<F, Fut>(&self, handler: F) -> HandlerId
    where
        F: Fn(Client, Closed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let run: Box<OnClose> = Box::new(move |client, closed| Box::pin(handler(client, closed)));
        self.add(run, |table| &mut table.close)
    }

    /// Something is wrong with a connection.
    pub fn on_error<F, Fut>(&self, handler: F) -> HandlerId
    where
        F: Fn(Client, ClientFault) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let run: Box<OnError> = Box::new(move |client, fault| Box::pin(handler(client, fault)));
        self.add(run, |table| &mut table.error)
    }

    /// A client answered a ping, after this time.
    pub fn on_pong<F, Fut>(&self, handler: F) -> HandlerId
    where
        F: Fn(Client, Duration) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let run: Box<OnPong> = Box::new(move |client, latency| Box::pin(handler(client, latency)));
        self.add(run, |table| &mut table.pong)
    }

    /// A client sent a message, text or binary. It is read as usual if each of these handlers says [`Handling::Unhandled`]; until
    /// then the client's later messages wait. One that panics or takes too long has not handled the message.
    pub fn on_message<F, Fut>(&self, handler: F) -> HandlerId
    where
        F: Fn(Client, RawMessage) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Handling> + Send + 'static,
    {
        let run: Box<OnMessage> = Box::new(move |client, message| Box::pin(handler(client, message)));
        self.add(run, |table| &mut table.message)
    }

    /// Takes a handler out; `false` if it was not there any more. What it is doing now goes on.
    pub fn off(&self, handler: HandlerId) -> bool {
        self.change(|table| table.remove(handler))
    }

    /// Takes out every handler of an event that has this tag; returns how many.
    pub fn off_tag(&self, event: &str, tag: &str) -> usize {
        self.change(|table| table.remove_events(|of, entry| of == event && entry.tag.as_deref() == Some(tag)))
    }
}

/// For the ws-node that calls them.
impl Handlers {
    /// Whether there are handlers for this.
    pub(crate) fn want(&self, wanted: Wanted) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & wanted as u8 != 0
    }

    /// The handlers of an event, if it has some.
    pub(crate) fn find(&self, event: &str) -> Option<Arc<Found>> {
        if !self.want(Wanted::Events) {
            return None;
        }
        let table = self.0.table.load();
        table.events.get(event).filter(|found| !found.is_spent()).cloned()
    }

    pub(crate) fn of_connections(&self) -> Listed<OnConnection> {
        self.0.table.load().connection.clone()
    }

    pub(crate) fn of_closings(&self) -> Listed<OnClose> {
        self.0.table.load().close.clone()
    }

    pub(crate) fn of_errors(&self) -> Listed<OnError> {
        self.0.table.load().error.clone()
    }

    pub(crate) fn of_pongs(&self) -> Listed<OnPong> {
        self.0.table.load().pong.clone()
    }

    pub(crate) fn of_messages(&self) -> Listed<OnMessage> {
        self.0.table.load().message.clone()
    }

    /// Takes out handlers that have run for the last time.
    pub(crate) fn forget_spent(&self) {
        self.change(Table::remove_spent);
    }

    /// The ws-node starts: from now on it is known which events something else handles.
    pub(crate) fn started(&self, is_taken: impl Fn(&str) -> bool + Send + Sync + 'static) {
        let _of_the_first_ws_node = self.0.is_taken.set(Box::new(is_taken));
        for event in self.0.table.load().events.keys() {
            self.warn_if_taken(event);
        }
    }

    /// The ws-node has ended: nothing calls the handlers any more, and what they hold is dropped.
    pub(crate) fn clear(&self) {
        self.change(|table| *table = Table::default());
    }

    fn add_event<T, F, Fut>(
        &self,
        event: &str,
        tag: Option<&str>,
        is_once: bool,
        handler: F,
    ) -> Result<HandlerId, HandlerError>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(Client, T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        check(event)?;
        let run: Box<OnEvent> = Box::new(move |client, payload| match read(payload) {
            Ok(payload) => {
                let handling = handler(client, payload);
                Box::pin(async move { handling.await.into_reply() })
            }
            Err(refusal) => Box::pin(std::future::ready(Err(refusal))) as Running<_>,
        });
        let id = self.next_id();
        let entry = Entry {
            id,
            tag: tag.map(Into::into),
            taken: is_once.then(Default::default),
            run,
        };
        self.change(|table| table.add(event, entry));
        self.warn_if_taken(event);
        Ok(id)
    }

    fn add<F: ?Sized>(&self, run: Box<F>, list: impl FnOnce(&mut Table) -> &mut Listed<F>) -> HandlerId {
        let id = self.next_id();
        let entry = Entry {
            id,
            tag: None,
            taken: None,
            run,
        };
        self.change(|table| list(table).push(Arc::new(entry)));
        id
    }

    fn next_id(&self) -> HandlerId {
        HandlerId(self.0.last_id.fetch_add(1, Ordering::Relaxed))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let _one_at_a_time = self.0.changing.lock();
        let mut table = Table::clone(&self.0.table.load());
        let result = change(&mut table);
        self.0.wanted.store(table.wanted(), Ordering::Relaxed);
        self.0.table.store(Arc::new(table));
        result
    }

    fn warn_if_taken(&self, event: &str) {
        if self.0.is_taken.get().is_some_and(|is_taken| is_taken(event)) {
            tracing::warn!(
                event,
                "a handler replaces a built-in event or a rule, which does not get this event any more: rename yours if you did \
                 not mean that"
            );
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<_> = self.0.table.load().events.keys().cloned().collect();
        f.debug_struct("Handlers")
            .field("events", &events)
            .finish_non_exhaustive()
    }
}

/// Whether a handler may handle this event.
fn check(event: &str) -> Result<(), HandlerError> {
    if event.is_empty() {
        return Err(HandlerError::NoEvent);
    }
    if event.starts_with("wsmesh.") {
        return Err(HandlerError::Reserved(event.to_owned()));
    }
    if CREDENTIAL_EVENTS.contains(&event) {
        return Err(HandlerError::Credentials(event.to_owned()));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(payload: &RawValue) -> Result<T, Refusal> {
    serde_json::from_str(payload.get()).map_err(|error| {
        let text = format!("the payload cannot be used: {error}");
        Refusal::new(ErrorCode::BadPayload.as_str(), text)
    })
}
