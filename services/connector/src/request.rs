//! One request: a future with its own time limit, which is repeated after a disconnect if that is allowed.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use wsmesh_protocol::frame;

use crate::refusal::Refusal;
use crate::rooms::Membership;
use crate::shared::{Shared, limited};
use crate::traces::CANCELLED;
use crate::{Payload, RequestError, State};

/// A request to the server; `.await` sends it and returns the reply's payload. Dropping the future cancels it here; the server
/// is not told.
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
    repeats: Repeats,
    key: Option<String>,
    joins: Option<Membership>,
}

/// Whether a request is sent again on the next connection when one breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Never,
    /// It is carried out once, by its idempotency key.
    Once,
    /// It may be carried out twice.
    Plainly,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("event", &self.event)
            .field("timeout", &self.timeout)
            .field("repeats", &self.repeats)
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
            repeats: Repeats::Never,
            key: None,
            joins: None,
        }
    }

    /// Marks it as a request for a room: after a good reply the client is in it.
    pub(crate) fn joins(mut self, membership: Membership) -> Self {
        self.joins = Some(membership);
        self
    }

    /// The time limit of this request, retries included. The server is told unless it is 5 s, and does no work for a client that has
    /// given up. Default: [`request_timeout`](crate::Options::request_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls `tell` once if there is no reply after [`pending_timeout`](crate::Options::pending_timeout), for example to show a
    /// spinner. It runs where the request is awaited and must not block.
    pub fn on_pending(mut self, tell: impl FnOnce() + Send + 'static) -> Self {
        self.on_pending = Some(Box::new(tell));
        self
    }

    /// The time until [`on_pending`](Self::on_pending) is called; has no effect unless shorter than the time limit. Default:
    /// the client's [`pending_timeout`](crate::Options::pending_timeout).
    pub fn pending_timeout(mut self, after: Duration) -> Self {
        self.pending_timeout = after;
        self
    }

    /// Waits for a connection if there is none, and repeats the request on the next one if this one breaks, within the time
    /// limit. Only for what may happen twice, unless a service handles the event (a rule with `service` and `reply = "relay"`):
    /// there the idempotency key, which this gives the request unless it has one, makes it once. `publish`, handlers inside a
    /// ws-node and `reply = "direct"` do not use the key; a backend over HTTP gets the same `ce-id` again.
    pub fn retry(mut self) -> Self {
        self.repeats = Repeats::Once;
        self
    }

    /// As [`retry`](Self::retry), for what may happen twice and needs no key.
    pub(crate) fn retry_plainly(mut self) -> Self {
        self.repeats = Repeats::Plainly;
        self
    }

    /// Services (rules with `service` and `reply = "relay"`) carry out requests of this client with the same event and key once;
    /// all of them get the same answer, for two minutes.
    /// For requests that the application repeats itself. 1 to 128 characters. Default: with [`retry`](Self::retry) one of its own,
    /// else none.
    ///
    /// ```no_run
    /// # async fn example(client: wsmesh_connector::Client) -> Result<(), wsmesh_connector::RequestError> {
    /// let paid = client.request("pay", &7).idempotency_key("order-17").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    async fn reply(self) -> Result<Payload, RequestError> {
        if self.event.is_empty() {
            return Err(RequestError::EmptyEvent);
        }
        let payload = self.payload.map_err(RequestError::Payload)?;
        // Before the time limit starts: this is the application's code.
        let trace = self.shared.trace(&self.event, CANCELLED);
        let own_key = || (self.repeats == Repeats::Once).then(|| format!("{:032x}", rand::random::<u128>()));
        let asked = Asked {
            event: &self.event,
            payload: &payload,
            timeout: self.timeout,
            key: self.key.or_else(own_key),
            joins: self.joins,
            traceparent: trace.traceparent().map(str::to_owned),
        };
        let reply = async {
            loop {
                match asked.ask(&self.shared).await {
                    Err(RequestError::NotOpen | RequestError::Disconnected) if self.repeats != Repeats::Never => {
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
        let reply = reporting_slow(slow, self.pending_timeout, reply);
        let outcome = match tokio::time::timeout(self.timeout, reply).await {
            Ok(Ok(payload)) => match Refusal::read(payload.as_str()) {
                None => Ok(payload),
                Some(Refusal { error, error_code }) => Err(RequestError::Refused {
                    code: error_code,
                    text: error,
                }),
            },
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RequestError::Timeout(self.timeout)),
        };
        trace.end(outcome.as_ref().err().map(RequestError::code));
        outcome
    }
}

impl IntoFuture for Request {
    type Output = Result<Payload, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.reply())
    }
}

/// Awaits `reply`, and calls `slow` if that takes longer than `after`.
async fn reporting_slow<T>(
    slow: Option<Box<dyn FnOnce() + Send>>,
    after: Duration,
    reply: impl Future<Output = T>,
) -> T {
    let Some(slow) = slow else {
        return reply.await;
    };
    tokio::pin!(reply);
    match tokio::time::timeout(after, &mut reply).await {
        Ok(reply) => reply,
        Err(_) => {
            slow();
            reply.await
        }
    }
}

/// What is sent, again on each attempt.
struct Asked<'a> {
    event: &'a str,
    payload: &'a RawValue,
    timeout: Duration,
    key: Option<String>,
    joins: Option<Membership>,
    traceparent: Option<String>,
}

impl Asked<'_> {
    async fn ask(&self, shared: &Arc<Shared>) -> Result<Payload, RequestError> {
        let mut pending = shared.pending(self.joins)?;
        let mut text = limited(
            frame::client_request(self.event, self.payload, &pending.id.to_string()),
            self.timeout,
        );
        if let Some(key) = &self.key {
            text = frame::with_idempotency_key(text, key);
        }
        if let Some(traceparent) = &self.traceparent {
            text = frame::with_traceparent(text, traceparent);
        }
        let sent = pending.frames.send(text).await;
        sent.map_err(|_| RequestError::Disconnected)?;
        (&mut pending.reply).await.map_err(|_| RequestError::Disconnected)
    }
}
