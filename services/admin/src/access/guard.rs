//! Groups of routes, each with the right that it needs. A caller without it gets 403 before anything of the request is read.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;

use super::caller::Caller;
use super::role::Right;
use crate::problem::Problem;

/// These routes need `right`.
pub(crate) fn guard<S: Clone + Send + Sync + 'static>(routes: Router<S>, right: Right) -> Router<S> {
    routes.route_layer(middleware::from_fn_with_state(right, check))
}

async fn check(State(right): State<Right>, caller: Caller, request: Request, next: Next) -> Result<Response, Problem> {
    caller.need(right)?;
    Ok(next.run(request).await)
}
