//! The stream of one watched client, as server-sent events. It ends when the viewer leaves, its token ends, its time is up or admin
//! ends. The number of watches is limited in the whole cluster.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;

use super::Api;
use super::address::OfClient;
use crate::access::{Caller, Right};
use crate::problem::Problem;
use crate::watching::{Event, Refused};

/// How often a viewer gets something to read, if there is nothing new.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a viewer wants to see.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    payloads: bool,
}

/// `GET /api/v1/clients/{id}/watch?payloads=`
pub(super) async fn watch(
    State(api): State<Api>,
    caller: Caller,
    OfClient(client): OfClient,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Wanted { payloads }) = wanted?;
    if payloads {
        caller.need(Right::Operate)?;
    }
    let viewing = api.watching.open(client, payloads).await.map_err(problem)?;
    let events = viewing.events(async move { caller.ended().await });
    let events = events.map(|Event { name, data }| Ok::<_, Infallible>(sse::Event::default().event(name).data(data)));
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Proxies that collect an answer before they pass it on would pass nothing on.
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::TooMany => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "20 clients are watched already, the most in a cluster: end one of these watches, or try again later",
        )
        .with_code("too-many-watches"),
        Refused::ShuttingDown => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this admin is about to end: ask again, another one answers",
        ),
    }
}
