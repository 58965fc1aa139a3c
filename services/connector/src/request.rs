//! One request: a future with its own time limit, which asks again after a disconnect if it may.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use wsmesh_protocol::frame;

use crate::refusal::Refusal;
use crate::rooms::Membership;
use crate::shared::Shared;
use crate::{Payload, RequestError, State};

/// A request to the server; `.await` sends it and gives the reply's payload. Dropping the future cancels it here (the
/// server does not hear of that).
///
/// # Errors
/// See [`RequestError`]. A reply `{"error": …, "errorCode": …}` is [`RequestError::Refused`].
#[must_use = "a request is sent when it is awaited"]
pub struct Request {
    shared: Arc<Shared>,
    event: String,
    payload: Result<Box<RawValue>, serde_json::Error>,
    timeout: Duration,
    pending_timeout: Duration,
    on_pending: Option<Box<dyn FnOnce() + Send>>,
    retry: bool,
    joins: Option<Membership>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("event", &self.event)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Request {
    pub(crate) fn new(shared: Arc<Shared>, event: &str, payload: Result<Box<RawValue>, serde_json::Error>) -> Self {
        Self {
            timeout: shared.options.request_timeout,
            pending_timeout: shared.options.pending_timeout,
            on_pending: None,
            shared,
            event: event.to_owned(),
            payload,
            retry: false,
            joins: None,
        }
    }

    /// Its success means that the client is in this room.
    pub(crate) fn joins(mut self, membership: Membership) -> Self {
        self.joins = Some(membership);
        self
    }

    /// The time limit of this request, retries included. Default:
    /// [`request_timeout`](crate::Options::request_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls `tell` once if there is no reply after [`pending_timeout`](crate::Options::pending_timeout): time to show that
    /// something happens. It runs where the request is awaited and must not block.
    pub fn on_pending(mut self, tell: impl FnOnce() + Send + 'static) -> Self {
        self.on_pending = Some(Box::new(tell));
        self
    }

    /// How long until [`on_pending`](Self::on_pending) is told; has no effect unless shorter than the time limit. Default:
    /// the client's [`pending_timeout`](crate::Options::pending_timeout).
    pub fn pending_timeout(mut self, after: Duration) -> Self {
        self.pending_timeout = after;
        self
    }

    /// Waits for a connection if there is none, and asks again on the next one if this one breaks, within the time
    /// limit. Only for what may be done twice: the server may have done the work before the connection broke.
    pub fn retry(mut self) -> Self {
        self.retry = true;
        self
    }

    async fn reply(self) -> Result<Payload, RequestError> {
        if self.event.is_empty() {
            return Err(RequestError::EmptyEvent);
        }
        let payload = self.payload.map_err(RequestError::Payload)?;
        let asking = async {
            loop {
                match ask(&self.shared, &self.event, &payload, self.joins).await {
                    Err(RequestError::NotOpen | RequestError::Disconnected) if self.retry => {
                        let mut state = self.shared.state.subscribe();
                        let open = state.wait_for(|state| matches!(state, State::Open | State::Closed(_)));
                        if !open.await.is_ok_and(|state| state.is_open()) {
                            return Err(RequestError::NotOpen);
                        }
                    }
                    other => return other,
                }
            }
        };
        let slow = self.on_pending.filter(|_| self.pending_timeout < self.timeout);
        let asking = telling(slow, self.pending_timeout, asking);
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(payload)) => match Refusal::read(payload.as_str()) {
                None => Ok(payload),
                Some(Refusal { error, error_code }) => Err(RequestError::Refused {
                    code: error_code,
                    text: error,
                }),
            },
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RequestError::Timeout(self.timeout)),
        }
    }
}

impl IntoFuture for Request {
    type Output = Result<Payload, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.reply())
    }
}

/// `asking`, and calls `slow` if it takes longer than `after`.
async fn telling<T>(slow: Option<Box<dyn FnOnce() + Send>>, after: Duration, asking: impl Future<Output = T>) -> T {
    let Some(slow) = slow else {
        return asking.await;
    };
    tokio::pin!(asking);
    match tokio::time::timeout(after, &mut asking).await {
        Ok(reply) => reply,
        Err(_) => {
            slow();
            asking.await
        }
    }
}

async fn ask(
    shared: &Arc<Shared>,
    event: &str,
    payload: &RawValue,
    joins: Option<Membership>,
) -> Result<Payload, RequestError> {
    let mut pending = shared.pending(joins)?;
    let text = shared.traced(frame::client_request(event, payload, &pending.id.to_string()));
    let sent = pending.frames.send(text).await;
    sent.map_err(|_| RequestError::Disconnected)?;
    (&mut pending.reply).await.map_err(|_| RequestError::Disconnected)
}
