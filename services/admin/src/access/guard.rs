//! Groups of routes, each with the right that it needs. A caller without it gets 403 before anything of the request is read.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use futures_util::StreamExt;

use super::caller::Caller;
use super::role::Right;
use crate::problem::Problem;

/// These routes need `right`.
pub(crate) fn guard<S: Clone + Send + Sync + 'static>(routes: Router<S>, right: Right) -> Router<S> {
    routes.route_layer(middleware::from_fn_with_state(right, check))
}

/// As [`guard`], for routes that send something for longer than one answer: it ends with the token of its caller.
pub(crate) fn guard_streams<S: Clone + Send + Sync + 'static>(routes: Router<S>, right: Right) -> Router<S> {
    guard(routes.route_layer(middleware::from_fn(end_with_token)), right)
}

async fn end_with_token(caller: Caller, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    response.map(|body| {
        let ended = async move { caller.ended().await };
        Body::from_stream(body.into_data_stream().take_until(ended))
    })
}

async fn check(State(right): State<Right>, caller: Caller, request: Request, next: Next) -> Result<Response, Problem> {
    caller.need(right)?;
    Ok(next.run(request).await)
}
