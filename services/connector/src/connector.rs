//! The handle: cheap to clone, usable from any task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use url::Url;
use wsmesh_protocol::frame;

use crate::error::{NewError, RequestError, SendError};
use crate::events::{Listener, Listeners};
use crate::options::{Options, RequestOptions};
use crate::pending::Pending;
use crate::task::{Order, Task};

/// Orders that wait for the task. When full, senders wait.
const QUEUE: usize = 1024;

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A connection is being made.
    Connecting,
    /// It is open.
    Open,
    /// It ended; another try follows.
    Waiting {
        /// How many tries there were since it was open last.
        attempt: u32,
        /// How long until the next.
        delay: Duration,
        /// Why it ended.
        reason: String,
    },
    /// It ended and is not made again by itself.
    Closed {
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) url: Url,
    pub(crate) listeners: Listeners,
    pub(crate) pending: Pending,
    pub(crate) state: watch::Sender<State>,
    pub(crate) latency: watch::Sender<Option<Duration>>,
}

/// A handle on one connection that lives as long as it is wanted.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    next: Arc<AtomicU64>,
}

impl Connector {
    /// Makes a connector and the task that runs it, which the caller spawns.
    ///
    /// # Errors
    /// When the URL is no WebSocket URL.
    pub fn new(options: Options) -> Result<(Self, Task), NewError> {
        let mut url = Url::parse(&options.url).map_err(|error| NewError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(NewError::Url(format!("its scheme is {}", url.scheme())));
        }
        if !options.custom_params.is_empty() {
            url.query_pairs_mut().extend_pairs(&options.custom_params);
        }
        let (orders, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            listeners: Listeners::new(options.listener_capacity),
            pending: Pending::default(),
            state: watch::Sender::new(State::Connecting),
            latency: watch::Sender::default(),
            url,
            options,
        });
        let connector = Self {
            shared: shared.clone(),
            orders,
            next: Arc::new(AtomicU64::new(1)),
        };
        Ok((connector, Task::new(shared, receiver)))
    }

    /// How the connection is, and its changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Latency of the last heartbeat, and its changes.
    pub fn latency(&self) -> watch::Receiver<Option<Duration>> {
        self.shared.latency.subscribe()
    }

    /// Resolves when the connection is open.
    ///
    /// # Errors
    /// When it is closed for good instead.
    pub async fn opened(&self) -> Result<(), SendError> {
        let mut state = self.state();
        let open = state
            .wait_for(|state| matches!(state, State::Open | State::Closed { .. }))
            .await;
        match open.as_deref() {
            Ok(State::Open) => Ok(()),
            _ => Err(SendError::Ended),
        }
    }

    /// Listens to an event; several listeners may.
    pub fn listen(&self, event: &str) -> Listener {
        self.shared.listeners.add(event)
    }

    /// Sends an event that nobody answers.
    ///
    /// # Errors
    /// When the connection is not open.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &str, payload: &T) -> Result<(), SendError> {
        self.send_frame(frame::event(event, payload)).await
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<Box<RawValue>, RequestError> {
        self.request_with(event, payload, RequestOptions::default()).await
    }

    /// As [`Connector::request`], with its own time-out or retry.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_with<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
        options: RequestOptions,
    ) -> Result<Box<RawValue>, RequestError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let text = frame::client_request(event, payload, &id);
        let reply = self.shared.pending.begin(&id, options.retry.then(|| text.clone()));
        // Cancelled or done: nobody waits any more.
        let _forget = Forget {
            shared: &self.shared,
            id: &id,
        };
        match self.send_frame(text).await {
            Ok(()) => {}
            Err(SendError::NotOpen) if options.retry => {}
            Err(error) => return Err(error.into()),
        }
        match timeout(options.timeout.unwrap_or(self.shared.options.callback_timeout), reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(RequestError::Dropped),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    pub(crate) async fn send_frame(&self, text: String) -> Result<(), SendError> {
        if *self.shared.state.borrow() != State::Open {
            return Err(SendError::NotOpen);
        }
        self.orders.send(Order::Send(text)).await.map_err(|_| SendError::Ended)
    }

    /// Connects now, whatever the state: drops the connection if there is one, and counts tries anew.
    pub fn reconnect(&self) {
        // Full means that the task is busy sending: the connection stands, and there is nothing to hurry.
        let _ = self.orders.try_send(Order::Reconnect);
    }

    /// Closes with code 4001 and does not come back until [`Connector::reconnect`].
    pub fn close(&self) {
        let _ = self.orders.try_send(Order::Close);
    }
}

struct Forget<'a> {
    shared: &'a Shared,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.pending.cancel(self.id);
    }
}
