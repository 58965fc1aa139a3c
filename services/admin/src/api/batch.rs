//! `POST /api/v1/batch`: many commands in one request.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::Api;
use super::body::Lines;
use crate::access::Caller;
use crate::commands::{LONGEST_ASK, batch};
use crate::problem::Problem;

/// `POST /api/v1/batch`
pub(super) async fn run(State(api): State<Api>, caller: Caller, Lines(body): Lines) -> Result<Response, Problem> {
    // The rest of the request's time limit is left for the body, and for writing the results.
    let deadline = Instant::now() + LONGEST_ASK;
    let results = batch::run(&api.adapter, &caller, &body, deadline).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], results).into_response())
}
