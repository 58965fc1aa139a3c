//! The HTTP side of the edge: any path upgrades to a WebSocket; `/` says that this is a ws-node, in the demo profile it is the
//! playground page. Finds what a request says about its client, and hands upgraded connections over to the shards.

mod asking;
mod credentials;
mod extensions;
mod first_message;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hand_over;
mod introduction;
mod pages;
mod playground;
mod rejection;
pub(crate) mod tickets;
mod upgrade;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;

use crate::gate::Gate;

/// Upgrades on any path. Can be mounted in another application that serves HTTP/1.1 over TCP with axum or hyper.
pub(crate) fn router(gate: Gate) -> Router {
    Router::new().fallback(enter).with_state(gate)
}

async fn enter(State(gate): State<Gate>, request: Request) -> Response {
    if upgrade::is_asked_for(request.headers()) {
        upgrade::answer(&gate, request).await
    } else {
        pages::answer(&gate.edge, &request)
    }
}
