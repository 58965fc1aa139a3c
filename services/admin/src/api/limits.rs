//! The limits of requests, as layers: how many run at once and how long each may take. Beyond them a request is rejected at once,
//! with an answer that says when to try again.

use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::{BoxError, Router};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;

use crate::commands::LONGEST_ASK;
use crate::problem::Problem;

/// Largest body of a request: enough for a large payload and thousands of client ids.
pub(super) const MAX_BODY_BYTES: u32 = 1024 * 1024;
/// Largest body of a batch.
pub(super) const MAX_BATCH_BYTES: u32 = 4 * MAX_BODY_BYTES;
/// Most requests at once.
pub(super) const MAX_REQUESTS: usize = 512;
/// Most requests at once that wait for the answer of a client. The others are left to everything else.
pub(super) const MAX_ASKS: usize = 256;
/// Most batches at once: each may hold a large body.
pub(super) const MAX_BATCHES: usize = 16;

/// How long a preflight takes at most: four times the time limit of a command, and some more.
const PREFLIGHT: Duration = Duration::from_secs(10);

/// The time limit of requests that wait for clients, when that of others is `limit`.
pub(crate) fn longest(limit: Duration) -> Duration {
    limit + LONGEST_ASK
}

/// The time limit of requests with a preflight, when that of others is `limit`.
pub(super) fn checking(limit: Duration) -> Duration {
    limit + PREFLIGHT
}

/// At most so many requests at once, over all routes.
pub(super) fn limit_requests<S: Clone + Send + Sync + 'static>(router: Router<S>, most: usize) -> Router<S> {
    let too_many =
        async |_: BoxError| overloaded("too many requests run at once; try again in a moment, or ask another admin");
    let limited = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(too_many))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(most));
    router.layer(limited)
}

/// The answer to a request for which there is no room.
pub(super) fn overloaded(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        .with_code("overloaded")
        .untouched()
}

/// A request ends in time, even if its body never does.
pub(super) fn limit_time<S: Clone + Send + Sync + 'static>(router: Router<S>, limit: Duration) -> Router<S> {
    let overdue = async move |_: BoxError| overdue(limit);
    let limited = ServiceBuilder::new().layer(HandleErrorLayer::new(overdue));
    router.layer(limited.layer(TimeoutLayer::new(limit)))
}

/// The answer to a request that took too long.
pub(super) fn overdue(limit: Duration) -> Problem {
    let detail = format!("the request did not end within {} seconds; try again", limit.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}
