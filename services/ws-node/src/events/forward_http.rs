//! Forwards an event to a backend, as its rule says; the backend's answer goes back to the client.

use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::ErrorCode;

use super::backend_answer::outcome;
use super::call::Call;
use super::refusal::Refusal;
use super::work::{Outcome, Work};
use crate::backends::{Backend, CloudEvent, Failure};
use crate::routes::ToBackend;

/// `ce-type` of clients' events.
const KIND: &str = "io.wsmesh.client.event";

/// Forwards an event under this name. The call runs elsewhere: this thread only waits for it.
pub(super) fn forward(way: &ToBackend, event: &str, call: Call<'_>) -> Work {
    let Some(place) = way.lanes.enter(call.session.client()) else {
        way.backend.not_called(Failure::Overloaded);
        let text = "too many events wait for this backend; try again later";
        return Work::Done(Err(Refusal::new(ErrorCode::Overloaded, text)));
    };
    let sent = Sent {
        backend: way.backend.clone(),
        event: cloud_event(event, &call),
        key: call.key.map(str::to_owned),
        deadline: call.deadline,
    };
    let turn = way.is_ordered.then(|| place.turn());
    let work = Box::pin(async move {
        // Until the event is done with.
        let _place = place;
        let _permit = match turn {
            Some(turn) => match timeout_at(sent.deadline.into(), turn).await {
                Ok(permit) => permit,
                Err(_) => return sent.too_late(),
            },
            None => None,
        };
        sent.post().await
    });
    match call.callback_id {
        Some(_) => Work::Later(work),
        // Lanes bound it. A client that sends more than its backend takes must not stop being read.
        None => Work::Aside(work),
    }
}

/// One event on its way.
struct Sent {
    backend: Backend,
    event: CloudEvent,
    key: Option<String>,
    deadline: Instant,
}

impl Sent {
    async fn post(self) -> Outcome {
        let within = self.deadline.saturating_duration_since(Instant::now());
        if within.is_zero() {
            return self.too_late();
        }
        let answered = match self.key {
            Some(key) => self.backend.post_keyed(self.event, key, within).await,
            None => self.backend.post(self.event, within).await,
        };
        outcome(answered, &self.backend)
    }

    /// Its time was over before its turn.
    fn too_late(self) -> Outcome {
        self.backend.not_called(Failure::TimedOut);
        outcome(Err(Failure::TimedOut), &self.backend)
    }
}

fn cloud_event(event: &str, call: &Call<'_>) -> CloudEvent {
    let (session, adapter) = (call.session, &call.edge().adapter);
    let client = session.client();
    let mut extensions = Vec::with_capacity(3);
    extensions.push(("client", client.to_string()));
    extensions.push(("connection", adapter.connection_name(session.connection())));
    extensions.extend(session.data().map(|data| ("data", data.get().to_owned())));
    CloudEvent {
        id: id(client, event, call.key),
        kind: KIND,
        source: format!("/ws-node/{}", adapter.name()),
        subject: Some(event.to_owned()),
        time: Timestamp::now(),
        extensions,
        content_type: "application/json",
        body: Bytes::copy_from_slice(call.payload.get().as_bytes()),
    }
}

/// The id of an event: the same when the client repeats it with its key, on whichever server; otherwise unique.
fn id(client: &ClientId, event: &str, key: Option<&str>) -> String {
    let Some(key) = key else {
        return format!("{:032x}", rand::random::<u128>());
    };
    let mut hash = Sha256::new();
    for part in [client.as_str(), event, key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_same_id_only_if_the_client_repeats_it_with_its_key() {
        let client = |id: &str| ClientId::new(id).expect("valid");
        let (ann, bob) = (client("ann"), client("bob"));
        let repeated = id(&ann, "bid", Some("k"));
        // Other servers must make the same, also after an update.
        assert_eq!(repeated, "6282212b311b369e4b484e14a48d4b64");
        assert_eq!(repeated, id(&ann, "bid", Some("k")));
        let others = [
            id(&bob, "bid", Some("k")),
            id(&ann, "bi", Some("dk")),
            id(&ann, "bid", Some("l")),
            id(&ann, "bid", None),
            id(&ann, "bid", None),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(*other, repeated);
            assert!(!others[..index].contains(other), "twice: {other}");
        }
    }
}
