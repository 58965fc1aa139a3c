//! Asks the connect hook about a request, and has the client that it lets in join its rooms.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::FutureExt;
use futures_util::future::join_all;
use wsmesh_adapter::{ClientId, Room};

use super::rejection::Rejection;
use crate::auth::Proof;
use crate::connect::{Admitted, Asker, Hook, Refused};
use crate::edge::Edge;
use crate::metrics::Rejected;

/// Longest wait until other servers know that the client is in its rooms; it is in them here before that.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// Who a client is that has not proved it.
pub(super) async fn identify(edge: &Edge, hook: &Hook, asker: Asker<'_>) -> Result<Admitted, Rejection> {
    let admitted = unless_drained(edge, hook.identify(asker)).await?;
    admitted.map_err(|refused| rejection(edge, asker, refused))
}

/// Whether a client may connect that has proved who it is.
pub(super) async fn confirm(edge: &Edge, hook: &Hook, asker: Asker<'_>, proof: Proof) -> Result<Admitted, Rejection> {
    let admitted = unless_drained(edge, hook.confirm(asker, proof)).await?;
    admitted.map_err(|refused| rejection(edge, asker, refused))
}

/// Nobody waits for a hook on a server that sends its clients away.
async fn unless_drained<T>(edge: &Edge, asking: impl Future<Output = T>) -> Result<T, Rejection> {
    tokio::select! {
        answered = asking => Ok(answered),
        () = edge.drained() => Err(Rejection::draining()),
    }
}

fn rejection(edge: &Edge, asker: Asker<'_>, refused: Refused) -> Rejection {
    let (status, why, text) = match refused {
        Refused::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            Rejected::Unauthorized,
            "the application does not know this client: log in again",
        ),
        Refused::Forbidden => (
            StatusCode::FORBIDDEN,
            Rejected::Forbidden,
            "the application does not let this client in",
        ),
        Refused::Unanswered(retry_after) => {
            let text = "it is not known now whether this client may connect: try again".to_owned();
            let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, Rejected::Hook, text);
            return rejection.retry_after(retry_after.unwrap_or_default());
        }
    };
    edge.metrics.entry.auth_failed("hook");
    edge.failures.count(asker.address);
    Rejection::new(status, why, text.to_owned())
}

/// Has an attached client join these rooms. It is in them on this server once this resolves; other servers know it then, too,
/// unless that takes too long.
pub(super) async fn join(edge: &Arc<Edge>, client: &ClientId, rooms: Vec<Room>) {
    if rooms.is_empty() {
        return;
    }
    let (adapter, client) = (edge.adapter.clone(), client.clone());
    let mut joining = Box::pin(async move {
        let joined = join_all(rooms.into_iter().map(|room| adapter.join(&client, room))).await;
        if let Some(error) = joined.into_iter().find_map(Result::err) {
            tracing::debug!(%client, %error, "a client has not joined a room everywhere yet");
        }
    });
    if (&mut joining).now_or_never().is_some() {
        return;
    }
    // What is begun must not be given up: it goes on while the client is connected.
    let confirmed = edge.sessions.spawn(joining);
    if edge.adapter.is_connected() {
        let _late = tokio::time::timeout(CONFIRMATION, confirmed).await;
    }
}
