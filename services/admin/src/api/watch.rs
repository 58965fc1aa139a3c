//! The stream of one watched client, as server-sent events. It ends when the viewer leaves, its token ends, its time is up or admin
//! ends. The number of watches is limited in the whole cluster.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::address::OfClient;
use super::query::Params;
use super::seats::Kind;
use crate::access::{Caller, Right};
use crate::audit::Entry;
use crate::problem::Problem;
use crate::shapes::{self, Name};
use crate::watching::{Event, Refused};

/// How often a viewer gets something to read, if there is nothing new.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a viewer wants to see.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Also the payloads of messages, at most 4 KiB of each. Needs the role operator.
    #[serde(default)]
    pub(super) payloads: bool,
}

/// Follows one client, wherever it is and wherever it comes back
///
/// Server-sent events. First `watching`: `{client, until, payloads, servers, missing}`, with the ws-nodes that watch and those that did
/// not answer. Then what ws-nodes see, each with `at` and `server`, and with what applies of `connection`, `node`, `what`, `event`,
/// `callbackId`, `requestId`, `namespace`, `roomId`, `bytes`, `queuedMs`, `code`, `reason`, `lastedMs`, `rttMs`, `count`, `payload`,
/// `cut`, `already`: `connected`, `closed`, `joined`, `left`, `in` and `out` (messages from and to the client), `reply` (with `code`, if
/// it is an error), `dropped`, `slow`, `ping`. `lost`: `{at, server?, count}`, so many were left out. `servers`: `{at, servers,
/// missing}`, when these change. `gone`: `{at, server, why}`, a ws-node is `stopped` or `lost`. At last `ended`: `{why}`, one of
/// `time-is-up`, `shutting-down`, `token-ended`. A watch lasts at most 15 minutes. A comment comes when there was nothing for 15 s.
#[utoipa::path(
    get, path = "/clients/{id}/watch", operation_id = "watch", tag = "clients",
    params(("id" = Name, Path, description = "The client's id. It does not have to be connected."), Wanted),
    responses(
        (status = 200, description = "The events.", body = shapes::StreamEvent, content_type = "text/event-stream"),
        (status = 429, description = "The cluster has 20 watches, or this caller 10 at this admin: the most there may be (code too-many-watches)."),
    ),
)]
pub(super) async fn watch(
    State(api): State<Api>,
    caller: Caller,
    OfClient(client): OfClient,
    Params(Wanted { payloads }): Params<Wanted>,
) -> Result<Response, Problem> {
    // It changes nothing, but somebody reads what was meant for others.
    let recorded = |status| {
        let entry = Entry::new("watch with payloads", format!("client {client}"), status);
        api.audit.record(&caller, entry);
    };
    if payloads {
        caller
            .need(Right::Operate)
            .inspect_err(|problem| recorded(problem.status()))?;
    }
    let seat = api.seats.take(&caller, Kind::Watch)?;
    let viewing = api.watching.open(client.clone(), payloads).await.map_err(problem)?;
    if payloads {
        recorded(StatusCode::OK);
    }
    let events = seat.hold(viewing.events(async move { caller.ended().await }));
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
