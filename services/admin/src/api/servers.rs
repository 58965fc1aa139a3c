//! Routes that tell a ws-node to drain, to resume, or to send some of its clients away.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wsmesh_adapter::{Missing, Payload, PublishError, RequestError, RequestOptions, ServerName, Target};
use wsmesh_protocol::forward::{DRAIN, Drain, Draining, REBALANCE, RESUME, Rebalance};

use super::Api;
use super::body::OrEmpty;
use crate::problem::Problem;

/// Body of `POST /api/v1/servers/{name}/drain`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DrainOrder {
    within_ms: Option<u64>,
}

/// Body of `POST /api/v1/servers/{name}/resume`: empty.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeOrder {}

/// Body of `POST /api/v1/servers/{name}/rebalance`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RebalanceOrder {
    clients: Option<usize>,
}

/// Answer of `POST /api/v1/servers/{name}/rebalance`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Shedding {
    /// Most clients that are sent away; only idle ones are.
    clients: usize,
}

type Name = Result<Path<ServerName>, PathRejection>;

/// `POST /api/v1/servers/{name}/drain`
pub(super) async fn drain(
    State(api): State<Api>,
    name: Name,
    OrEmpty(DrainOrder { within_ms }): OrEmpty<DrainOrder>,
) -> Result<Json<Draining>, Problem> {
    order(&api, name?.0, DRAIN, &Drain { within_ms }).await
}

/// `POST /api/v1/servers/{name}/resume`
pub(super) async fn resume(
    State(api): State<Api>,
    name: Name,
    OrEmpty(ResumeOrder {}): OrEmpty<ResumeOrder>,
) -> Result<Json<Draining>, Problem> {
    order(&api, name?.0, RESUME, &Drain::default()).await
}

/// `POST /api/v1/servers/{name}/rebalance`
pub(super) async fn rebalance(
    State(api): State<Api>,
    name: Name,
    OrEmpty(RebalanceOrder { clients }): OrEmpty<RebalanceOrder>,
) -> Result<Json<Shedding>, Problem> {
    order(&api, name?.0, REBALANCE, &Rebalance { clients }).await
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
