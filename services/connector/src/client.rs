//! The handle that applications use: events, requests, rooms, the state, closing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::sync::{mpsc, watch};
use wsmesh_protocol::frame;

use crate::rooms::RoomMessage;
use crate::servers::Servers;
use crate::shared::Shared;
use crate::task::Wish;
use crate::traces::CANCELLED;
use crate::{
    EmitError, End, Event, Lifecycle, Listener, Options, OptionsError, Payload, RefreshError, Request, RequestError,
    Room, ServerRequest, State, Task,
};

/// The size of the queue of wishes. The task takes them at once unless it is closing.
const WISHES: usize = 4;

/// Creates clients.
#[derive(Debug)]
pub struct Connector;

impl Connector {
    /// Creates a client and the task that connects it and keeps it connected. Subscribe first, then spawn
    /// [`Task::run`](crate::Task::run), so that no early push is missed.
    ///
    /// # Errors
    /// When an option is not valid. Nothing is connected yet.
    #[expect(clippy::new_ret_no_self, reason = "it returns both halves: the handle and the task")]
    pub fn new(options: Options) -> Result<(Client, Task), OptionsError> {
        let servers = Servers::new(&options)?;
        let shared = Shared::new(options);
        let (sender, wishes) = mpsc::channel(WISHES);
        let client = Client {
            shared: Arc::clone(&shared),
            wishes: sender,
        };
        Ok((client, Task::new(shared, servers, wishes)))
    }
}

/// A handle to one connection. Cheap to clone. When the last clone is dropped, the task closes the connection and ends.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    wishes: mpsc::Sender<Wish>,
}

impl Client {
    /// The events of this name that the server pushes from now on. Every listener of the name gets every event. A listener that
    /// does not keep up misses events, see [`Listener::missed`].
    pub fn on(&self, event: &str) -> Listener<Event> {
        let queue = self.shared.options.listener_queue;
        self.shared.listeners().on(event, None, queue)
    }

    /// Like [`on`](Self::on), but [`off_tagged`](Self::off_tagged) can end it: for listeners that end together, for example those
    /// of one screen.
    pub fn on_tagged(&self, event: &str, tag: &str) -> Listener<Event> {
        let queue = self.shared.options.listener_queue;
        self.shared.listeners().on(event, Some(tag), queue)
    }

    /// The next event of this name from now on (not from the first poll on); `None` if the listener ends before.
    pub fn once(&self, event: &str) -> impl Future<Output = Option<Event>> + Send + use<> {
        let mut listener = self.shared.listeners().once(event, None);
        async move { listener.recv().await }
    }

    /// Like [`once`](Self::once), but [`off_tagged`](Self::off_tagged) can end it.
    pub fn once_tagged(&self, event: &str, tag: &str) -> impl Future<Output = Option<Event>> + Send + use<> {
        let mut listener = self.shared.listeners().once(event, Some(tag));
        async move { listener.recv().await }
    }

    /// Ends all listeners of this event; the events that wait in them can still be read. To end one listener, drop it.
    pub fn off(&self, event: &str) {
        self.shared.listeners().off(event, None);
    }

    /// Ends the listeners of this event with this tag; the events that wait in them can still be read.
    pub fn off_tagged(&self, event: &str, tag: &str) {
        self.shared.listeners().off(event, Some(tag));
    }

    /// Every event that the server pushes from now on, whatever its name.
    pub fn on_any(&self) -> Listener<Event> {
        self.shared.listeners().on_any(self.shared.options.listener_queue)
    }

    /// The requests of this name that the server sends from now on. There is one listener per name; a new one replaces it. A
    /// request without a listener is refused with `UNKNOWN_EVENT`.
    pub fn on_request(&self, event: &str) -> Listener<ServerRequest> {
        let queue = self.shared.options.listener_queue;
        self.shared.listeners().on_request(event, queue)
    }

    /// The events of the connection from now on: opened, ended, heartbeats, attempts.
    pub fn lifecycle(&self) -> Listener<Lifecycle> {
        self.shared.listeners().on_lifecycle(self.shared.options.listener_queue)
    }

    /// Sends an event, which has no reply; waits while the queue is full. `Ok` means that it is written soon, unless the
    /// connection breaks first: use a [`request`](Self::request) for what must arrive. Without a connection the event is kept for
    /// the next one if [`offline_queue`](crate::Options::offline_queue) has room.
    ///
    /// # Errors
    /// When there is no connection and the event is not kept, or the payload cannot be JSON.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Result<(), EmitError> {
        let text = event_frame(event, payload)?;
        let trace = self.shared.trace(event, CANCELLED);
        let sent = self.enqueue(trace.on(text)).await;
        trace.end(sent.as_ref().err().map(EmitError::code));
        sent
    }

    async fn enqueue(&self, mut text: String) -> Result<(), EmitError> {
        while let Some((frames, frame)) = self.shared.route(text)? {
            match frames.send(frame).await {
                Ok(()) => break,
                // The connection ended meanwhile: proceed as without a connection.
                Err(mpsc::error::SendError(frame)) => text = frame,
            }
        }
        Ok(())
    }

    /// Like [`emit`](Self::emit), but fails with [`EmitError::Full`] instead of waiting.
    ///
    /// # Errors
    /// When there is no connection and the event is not kept, when too many frames wait, or the payload cannot be JSON.
    pub fn try_emit<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Result<(), EmitError> {
        let text = event_frame(event, payload)?;
        let trace = self.shared.trace(event, CANCELLED);
        let sent = self.try_enqueue(trace.on(text));
        trace.end(sent.as_ref().err().map(EmitError::code));
        sent
    }

    fn try_enqueue(&self, text: String) -> Result<(), EmitError> {
        let Some((frames, text)) = self.shared.route(text)? else {
            return Ok(());
        };
        frames.try_send(text).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EmitError::Full,
            mpsc::error::TrySendError::Closed(_) => EmitError::NotOpen,
        })
    }

    /// Sends a request: `client.request("echo", &payload).await?`. It can have its own [`timeout`](Request::timeout) and may
    /// [`retry`](Request::retry); without that it fails at once when the connection breaks.
    pub fn request<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Request {
        Request::new(Arc::clone(&self.shared), event, to_raw_value(payload))
    }

    /// Joins a room, and again after each reconnect, before anything else is sent, until [`leave_room`](Self::leave_room) or
    /// [`close`](Self::close). If the server refuses a rejoin, [`Lifecycle::RoomLost`] reports it. Waits for a connection if
    /// there is none. Returns the server's reply: `client.join_room("1000").await?`. If the future is dropped before the reply,
    /// the room is not joined again, whatever the server did.
    ///
    /// # Errors
    /// When the server refuses or does not reply in time; see [`RequestError`].
    pub async fn join_room(&self, room: impl Into<Room>) -> Result<Payload, RequestError> {
        let room = room.into();
        let wanted = self.shared.wanted(&room);
        self.request("joinRoom", &room)
            .retry_plainly()
            .joins(wanted.membership)
            .await
    }

    /// Leaves a room. It is not joined again, whatever the server replies. Waits for a connection if there is none.
    ///
    /// # Errors
    /// When the server refuses or does not reply in time; see [`RequestError`].
    pub async fn leave_room(&self, room: impl Into<Room>) -> Result<Payload, RequestError> {
        let room = room.into();
        self.shared.left(&room);
        self.request("leaveRoom", &room).retry_plainly().await
    }

    /// Sends a message to a room, without a service: its members get the event `roomMessage` with `namespace`, `roomId`, `from` (this
    /// client's id) and `data`. The server must allow it: see `[[namespaces]]` of ws-node. A request like any other:
    /// `client.publish("1000", &"hi").await?`.
    pub fn publish<T: Serialize + ?Sized>(&self, room: impl Into<Room>, data: &T) -> Request {
        let message = RoomMessage {
            room: &room.into(),
            data,
        };
        self.request("publish", &message)
    }

    /// Renews the token of the open connection, which stays open: asks the [provider](crate::Options::token) for a new token and
    /// sends it in a request `refreshToken`. Returns the server's reply (of a ws-node: `expiresInMs`, the lifetime of the new
    /// token).
    ///
    /// # Errors
    /// When there is no new token, or the server does not accept it. The connection keeps its old token.
    pub async fn refresh_token(&self) -> Result<Payload, RefreshError> {
        let limit = self.shared.options.request_timeout;
        let provider = self.shared.options.token.as_ref().ok_or(RefreshError::NoToken)?;
        let token = tokio::time::timeout(limit, provider.token()).await;
        let token = token.map_err(|_| RequestError::Timeout(limit))?;
        let token = token.map_err(RefreshError::Provider)?.ok_or(RefreshError::NoToken)?;
        Ok(self.request("refreshToken", &json!({"token": token})).await?)
    }

    /// The connection's state, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Whether the connection is open.
    pub fn is_open(&self) -> bool {
        self.shared.state.borrow().is_open()
    }

    /// Whether the client is reconnecting.
    pub fn is_reconnecting(&self) -> bool {
        self.shared.state.borrow().is_reconnecting()
    }

    /// Waits until the connection is open; returns at once if it is. The task must be running.
    ///
    /// # Errors
    /// When it is closed for good, with the reason.
    pub async fn opened(&self) -> Result<(), End> {
        let mut state = self.state();
        let decided = state.wait_for(|state| matches!(state, State::Open | State::Closed(_)));
        match decided.await.as_deref() {
            Ok(State::Closed(end)) => Err(end.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(End::TaskEnded),
        }
    }

    /// Closes (code 4001) for good, unless [`connect`](Self::connect) is called. Events that were emitted before are written;
    /// waiting requests fail; rooms and kept events are forgotten. Returns when it is closed. The task must be running.
    pub async fn close(&self) {
        if self.wishes.send(Wish::Close).await.is_ok() {
            let _ = self.state().wait_for(|state| matches!(state, State::Closed(_))).await;
        }
    }

    /// Reconnects now, also after a close for good: ends the connection if there is one, or the wait for the next attempt, and
    /// resets the attempt count. Does nothing once the task has ended.
    pub async fn connect(&self) {
        self.begin(Wish::Connect).await;
    }

    /// Ends the connection if there is one, and reconnects after the usual wait; also after a close for good. A wait that is
    /// running continues. The attempt is counted as one more in a row, see [`reconnect_from_zero`](Self::reconnect_from_zero).
    pub async fn reconnect(&self) {
        self.begin(Wish::Reconnect { from_zero: false }).await;
    }

    /// Like [`reconnect`](Self::reconnect), but resets the attempt count, so that the waits are short again.
    pub async fn reconnect_from_zero(&self) {
        self.begin(Wish::Reconnect { from_zero: true }).await;
    }

    async fn begin(&self, wish: Wish) {
        // Not closed from this moment on, so that a caller that waits for "open" next does not see the old state.
        self.shared.state.send_if_modified(|state| {
            let rests = matches!(state, State::Closed(end) if !matches!(end, End::TaskEnded));
            if rests {
                *state = State::Connecting { repeat: 0 };
            }
            rests
        });
        let _ = self.wishes.send(wish).await;
    }

    /// The server of the connection or of the next attempt: one of [`urls`](Options::urls), as it was given.
    pub fn url(&self) -> &str {
        self.shared.url()
    }

    /// The time between heartbeats.
    pub fn ping_interval(&self) -> Duration {
        *self.shared.ping_interval.borrow()
    }

    /// Changes the time between heartbeats, from the next heartbeat on. Zero stops heartbeats at once, and stopped heartbeats
    /// begin at once.
    pub fn set_ping_interval(&self, interval: Duration) {
        self.shared.ping_interval.send_if_modified(|now| {
            let at_once = now.is_zero() || interval.is_zero();
            *now = interval;
            at_once
        });
    }

    /// Like [`set_ping_interval`](Self::set_ping_interval), but counted from now. If an answer is awaited, that decides first.
    pub fn set_ping_interval_now(&self, interval: Duration) {
        self.shared.ping_interval.send_replace(interval);
    }
}

fn event_frame<T: Serialize + ?Sized>(event: &str, payload: &T) -> Result<String, EmitError> {
    if event.is_empty() {
        return Err(EmitError::EmptyEvent);
    }
    let payload = to_raw_value(payload).map_err(EmitError::Payload)?;
    Ok(frame::push_raw(event, payload))
}
