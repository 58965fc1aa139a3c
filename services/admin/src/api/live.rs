//! The stream of everything that happens: a snapshot each second, and news in between. It ends when the viewer leaves or admin ends,
//! and counts towards a limit of its own.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Api;
use super::limits::overloaded;
use crate::problem::Problem;

/// `GET /api/v1/events`
pub(super) async fn events(State(api): State<Api>) -> Result<Response, Problem> {
    let events = api.statistics.view();
    let events =
        events.ok_or_else(|| overloaded("too many pages follow this admin: close some, or ask another admin"))?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect an answer before they pass it on would pass nothing on.
    let buffering = ("x-accel-buffering", "no");
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    Ok(([kind], [buffering], body).into_response())
}
