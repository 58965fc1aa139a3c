//! `/debug/profile` and `/debug/heap` on the ops port: what this process does with its time and its memory.
//!
//! Off unless a file with a token is set. Whoever asks sends that token, which is compared in constant time; wrong ones are
//! answered late, and only a few at once. A profile is of the whole process, so there is one at a time. It ends with its time, with
//! its connection, and with the server, and never keeps any of them from ending.

mod gzip;
mod heap;
mod profile;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::config::CommonConfig;
use crate::live::Live;

pub(crate) use heap::heap_metrics;
pub use heap::tell_heap;
pub(crate) use token::Token;

/// How long the answer to a wrong token takes.
const WRONG_TAKES: Duration = Duration::from_secs(1);
/// Most wrong tokens that are being answered. Until one is, nobody is let in: so at most this many can be tried in a second.
const MOST_WRONG: usize = 4;

/// The routes of this server; none if no file with a token is set. A service serves them on its ops port only. Must be called
/// inside a tokio runtime.
///
/// # Errors
/// When the file cannot be used any more.
pub fn routes(common: &CommonConfig) -> anyhow::Result<Router> {
    let Some(file) = &common.debug_token_file else {
        return Ok(Router::new());
    };
    // The file is read again while the server runs. A token that was replaced does not count any more.
    let token = Live::start(file, Duration::ZERO, Token::of).map_err(anyhow::Error::msg)?;
    Ok(guarded(token))
}

fn guarded(token: Live<Token>) -> Router {
    let door = Arc::new(Door {
        token,
        wrong: Semaphore::new(MOST_WRONG),
    });
    Router::new()
        .route("/debug/profile", get(profile::answer))
        .route("/debug/heap", get(heap::answer))
        .route_layer(from_fn_with_state(door, let_in))
}

struct Door {
    token: Live<Token>,
    /// A permit for each wrong token that is being answered.
    wrong: Semaphore,
}

async fn let_in(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let Ok(place) = door.wrong.try_acquire() else {
        let text = "too many wrong tokens were sent: try again in a second\n";
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], text).into_response();
    };
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| door.token.current().is(given)) {
        drop(place);
        return next.run(request).await;
    }
    if given.is_some() {
        tracing::warn!(
            "/debug was asked for with a wrong token: if that was not you, find out who reaches the ops port"
        );
        tokio::time::sleep(WRONG_TAKES).await;
    }
    let text = "send the token of --debug-token-file (WSMESH_DEBUG_TOKEN_FILE) as Authorization: Bearer TOKEN\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], text).into_response()
}

#[cfg(test)]
mod tests;
