//! Requests that wait for their reply. State without I/O.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::error::RequestError;

type Reply = Result<Box<RawValue>, RequestError>;

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Reply>,
    /// What to send again after a reconnect.
    again: Option<String>,
}

/// The requests of one connector.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: Mutex<HashMap<String, Waiting>>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, id: &str, again: Option<String>) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        self.lock().insert(id.to_owned(), Waiting { reply, again });
        receiver
    }

    pub(crate) fn cancel(&self, id: &str) {
        self.lock().remove(id);
    }

    /// A reply came; late and unknown ones do nothing.
    pub(crate) fn reply(&self, id: &str, payload: &RawValue) {
        #[derive(serde::Deserialize)]
        struct Refusal {
            error: String,
            #[serde(rename = "errorCode")]
            code: String,
        }
        let Some(waiting) = self.lock().remove(id) else { return };
        let reply = match serde_json::from_str::<Refusal>(payload.get()) {
            Ok(Refusal { error, code }) => Err(RequestError::Refused { code, text: error }),
            Err(_) => Ok(payload.to_owned()),
        };
        let _ = waiting.reply.send(reply);
    }

    /// The connection dropped: what cannot be sent again fails at once.
    pub(crate) fn dropped(&self) {
        let gone: Vec<Waiting> = self
            .lock()
            .extract_if(|_, waiting| waiting.again.is_none())
            .map(|(_, gone)| gone)
            .collect();
        for waiting in gone {
            let _ = waiting.reply.send(Err(RequestError::Dropped));
        }
    }

    /// What to send again on a new connection.
    pub(crate) fn again(&self) -> Vec<String> {
        self.lock()
            .values()
            .filter_map(|waiting| waiting.again.clone())
            .collect()
    }
}
