//! Routes that tell a ws-node to drain, to resume, or to send some of its clients away.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wsmesh_adapter::{Missing, Payload, PublishError, RequestError, RequestOptions, ServerName, Target};
use wsmesh_protocol::forward::{DRAIN, Drain, Draining, REBALANCE, RESUME, Rebalance};

use super::Api;
use super::address::OfPath;
use super::body::OrEmpty;
use crate::json::whole_or_null;
use crate::problem::Problem;
use crate::shapes::{self, Name};

/// Longest time that a drain may take.
const LONGEST_DRAIN_MS: u64 = 60 * 60 * 1000;

/// How to drain.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DrainOrder {
    /// Milliseconds until all clients are to be gone. Default: the server's drain_time.
    #[schema(maximum = 3600000)]
    #[serde(default, deserialize_with = "whole_or_null")]
    within_ms: Option<u64>,
}

/// Nothing.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeOrder {}

/// How many clients to send away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RebalanceOrder {
    /// Most clients to send away. Default: the number of clients that the server has above the mean of its service.
    #[schema(maximum = 1000000000)]
    #[serde(default, deserialize_with = "whole_or_null")]
    clients: Option<usize>,
}

/// The clients that are sent away.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Shedding {
    /// Most clients that are sent away; only idle ones are.
    clients: usize,
}

/// Drains a ws-node of its clients
///
/// The ws-node becomes not ready, rejects new clients, answers requests in flight, and closes its clients in waves with 1012, each
/// with a delay of its own. It stays empty until it is stopped or resumed.
#[utoipa::path(
    post, path = "/servers/{name}/drain", operation_id = "drain", tag = "cluster",
    params(("name" = Name, Path, description = "A ws-node's name.")),
    request_body(content = Option<DrainOrder>, example = json!({"withinMs": 15000})),
    responses(
        (status = 200, description = "It drains.", body = shapes::Draining),
        (status = 404, description = "There is no such server."),
        (status = 409, description = "The server is not a ws-node, or the first request with this idempotency key is still running \
            (code running)."),
        (status = 502, description = "The answer of the server cannot be read."),
    ),
)]
pub(super) async fn drain(
    State(api): State<Api>,
    OfPath(name): OfPath<ServerName>,
    OrEmpty(DrainOrder { within_ms }): OrEmpty<DrainOrder>,
) -> Result<Json<Draining>, Problem> {
    if within_ms.is_some_and(|within| within > LONGEST_DRAIN_MS) {
        return Err(Problem::bad_request(format!(
            "withinMs must be at most {LONGEST_DRAIN_MS}, an hour"
        )));
    }
    order(&api, name, DRAIN, &Drain { within_ms }).await
}

/// Lets a ws-node accept clients again
///
/// Ends a drain. Clients that were told to leave do not come back automatically.
#[utoipa::path(
    post, path = "/servers/{name}/resume", operation_id = "resume", tag = "cluster",
    params(("name" = Name, Path, description = "A ws-node's name.")),
    request_body(content = Option<ResumeOrder>, example = json!({})),
    responses(
        (status = 200, description = "It accepts clients.", body = shapes::Draining),
        (status = 404, description = "There is no such server."),
        (status = 409, description = "The server is not a ws-node, or the first request with this idempotency key is still running \
            (code running)."),
        (status = 502, description = "The answer of the server cannot be read."),
    ),
)]
pub(super) async fn resume(
    State(api): State<Api>,
    OfPath(name): OfPath<ServerName>,
    OrEmpty(ResumeOrder {}): OrEmpty<ResumeOrder>,
) -> Result<Json<Draining>, Problem> {
    order(&api, name, RESUME, &Drain::default()).await
}

/// Makes a ws-node send idle clients away
///
/// Clients that have been silent for the longest time go first. Clients that sent something in the last 10 s or wait for a reply stay.
/// The ws-node's rebalance_rate limits how many go per second.
#[utoipa::path(
    post, path = "/servers/{name}/rebalance", operation_id = "rebalance", tag = "cluster",
    params(("name" = Name, Path, description = "A ws-node's name.")),
    request_body(content = Option<RebalanceOrder>, example = json!({"clients": 100})),
    responses(
        (status = 200, description = "They are sent away.", body = Shedding),
        (status = 404, description = "There is no such server."),
        (status = 409, description = "The server is not a ws-node, or the first request with this idempotency key is still running \
            (code running)."),
        (status = 502, description = "The answer of the server cannot be read."),
    ),
)]
pub(super) async fn rebalance(
    State(api): State<Api>,
    OfPath(name): OfPath<ServerName>,
    OrEmpty(RebalanceOrder { clients }): OrEmpty<RebalanceOrder>,
) -> Result<Json<Shedding>, Problem> {
    order(&api, name, REBALANCE, &Rebalance { clients }).await
}

/// Sends the order and waits for the answer.
async fn order<R: serde::de::DeserializeOwned>(
    api: &Api,
    server: ServerName,
    event: &str,
    order: &impl Serialize,
) -> Result<Json<R>, Problem> {
    let internal = |error: &dyn std::fmt::Display| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let payload = Payload::new(order).map_err(|error| internal(&error))?;
    let target = Target::Server(server.clone());
    let reply = api
        .adapter
        .call(target, event, payload, RequestOptions::default())
        .await;
    api.statistics.note_change();
    let reply = reply.map_err(|error| match error {
        RequestError::Publish(PublishError::Target(_)) => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        RequestError::Missing {
            why: Missing::Unhandled,
            ..
        } => Problem::new(
            StatusCode::CONFLICT,
            format!("{server} has no clients to send away: only ws-nodes have clients"),
        ),
        _ => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    })?;
    let value: Value = reply.payload.parse().map_err(|error| internal(&error))?;
    serde_json::from_value(value).map(Json).map_err(|_| {
        Problem::new(
            StatusCode::BAD_GATEWAY,
            format!("this admin does not understand the answer of {server}: do both have the same version?"),
        )
    })
}
