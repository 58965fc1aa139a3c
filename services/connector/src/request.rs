//! One request: a future with its own time limit, which asks again after a disconnect if it may.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use wsmesh_protocol::frame;

use crate::shared::Shared;
use crate::{Payload, RequestError, State};

/// A request to the server; `.await` sends it and gives the reply's payload. Dropping the future cancels it here (the
/// server does not hear of that).
///
/// # Errors
/// See [`RequestError`]. A reply `{"error": …, "errorCode": …}` is [`RequestError::Refused`].
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct Request {
    shared: Arc<Shared>,
    event: String,
    payload: Result<Box<RawValue>, serde_json::Error>,
    timeout: Duration,
    retry: bool,
}

impl Request {
    pub(crate) fn new(shared: Arc<Shared>, event: &str, payload: Result<Box<RawValue>, serde_json::Error>) -> Self {
        Self {
            timeout: shared.options.request_timeout,
            shared,
            event: event.to_owned(),
            payload,
            retry: false,
        }
    }

    /// The time limit of this request, retries included. Default:
    /// [`request_timeout`](crate::Options::request_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
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
                match ask(&self.shared, &self.event, &payload).await {
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
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(payload)) => match refusal(&payload) {
                None => Ok(payload),
                Some(refused) => Err(refused),
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

async fn ask(shared: &Arc<Shared>, event: &str, payload: &RawValue) -> Result<Payload, RequestError> {
    let mut pending = shared.pending()?;
    let text = frame::client_request(event, payload, &pending.id.to_string());
    let sent = pending.frames.send(text).await;
    sent.map_err(|_| RequestError::Disconnected)?;
    (&mut pending.reply).await.map_err(|_| RequestError::Disconnected)
}

/// What an error reply says. Replies are many and refusals few, so the text is searched before it is parsed.
fn refusal(payload: &Payload) -> Option<RequestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error: String,
        error_code: String,
    }
    if !payload.as_str().contains("\"errorCode\"") {
        return None;
    }
    let refusal: Refusal = payload.json().ok()?;
    Some(RequestError::Refused {
        code: refusal.error_code,
        text: refusal.error,
    })
}
