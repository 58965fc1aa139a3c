//! The stream of everything that happens: a snapshot each second, and news in between. It ends when the viewer leaves or admin ends,
//! and has a seat as long as it lasts.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Api;
use super::seats::Kind;
use crate::access::Caller;
use crate::problem::Problem;
use crate::shapes;

/// Follows the cluster: a snapshot each second, and what happens in between
///
/// Server-sent events. `snapshot`: `{asOf, cluster, nodes, stats}`, whose parts are the answers of `/cluster`, `/nodes` and `/stats`;
/// one each second, and a viewer that reads slowly skips some. `job`: a job, as of `/jobs/{id}`, when it changes. `audit`: a record.
/// `topology`: `{at, text}`, a change of servers or nodes in words. `missed`: `{count}`, so many of these three came too fast for the
/// viewer. A comment comes when there was nothing for 15 s.
#[utoipa::path(
    get, path = "/events", operation_id = "events", tag = "cluster",
    responses(
        (status = 200, description = "The events.", body = shapes::StreamEvent, content_type = "text/event-stream"),
        (status = 429, description = "This caller has as many streams as one may have (code too-many-streams)."),
    ),
)]
pub(super) async fn events(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    let seat = api.seats.take(&caller, Kind::Follow)?;
    let events = seat.hold(api.statistics.view());
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect an answer before they pass it on would pass nothing on.
    let buffering = ("x-accel-buffering", "no");
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    Ok(([kind], [buffering], body).into_response())
}
