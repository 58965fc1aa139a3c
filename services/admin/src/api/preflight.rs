//! The check of an address before it becomes a node: by itself, and before a node is added.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{Check, NodeId, NodeUrl, ServerName};

use super::Api;
use super::answers::Addition;
use super::body::JsonBody;
use crate::audit::Subject;
use crate::gather::{self, MissingServer, RefusedNode};
use crate::problem::Problem;
use crate::shapes::{self, Name};

/// What several servers found out about an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preflight)]
pub(super) struct PreflightView {
    /// The address, without credentials.
    url: String,
    /// The id that the node would have.
    #[schema(value_type = Option<Name>)]
    node: Option<NodeId>,
    /// Whether nothing failed, so that the node would be added.
    passes: bool,
    /// By name: this admin and at least two others, or all.
    servers: Vec<PreflightAtServer>,
    /// Servers that were asked and did not answer, and why.
    missing: Vec<MissingServer>,
}

/// What one server found out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PreflightAtServer {
    #[schema(value_type = Name)]
    server: ServerName,
    /// What the Redis calls this run of itself, if it says so.
    run_id: Option<String>,
    #[schema(value_type = Vec<shapes::Check>)]
    checks: Vec<Check>,
}

/// Checks whether servers could use a Redis as a node
///
/// This admin and at least two other servers try it, each with its own credentials: is it reachable, is it a Redis, do TLS, user and
/// password, version, rights and buffer limits fit, is it a known node under another id. Nothing is changed.
#[utoipa::path(
    post, path = "/nodes/preflight", operation_id = "preflight", tag = "nodes",
    request_body(content = Addition, example = json!({"url": "redis://redis-4:6379#redis-4"})),
    responses(
        (status = 200, description = "What each server found out, also if something failed.", body = PreflightView),
        (status = 409, description = "This admin runs alone, or the first request with this idempotency key is still running (code \
            running)."),
    ),
)]
pub(super) async fn preflight(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(Addition { url }): JsonBody<Addition>,
) -> Result<Json<PreflightView>, Problem> {
    let node = node_of(&url);
    if let Some(node) = &node {
        subject.name(format!("node {node}"));
    }
    let found = api.adapter.preflight(&url).await?;
    let passes = found.passes();
    let servers = found.servers.into_iter().map(|(server, preflight)| PreflightAtServer {
        server,
        run_id: preflight.run_id,
        checks: preflight.checks,
    });
    Ok(Json(PreflightView {
        node,
        passes,
        servers: servers.collect(),
        missing: gather::missing_servers(&found.missing),
        url: found.url,
    }))
}

/// Checks an address before it is added. Returns the servers that did not answer.
///
/// # Errors
/// When some server could not use it, or too few tried; nothing has been changed then.
pub(super) async fn check(api: &Api, url: &str) -> Result<Vec<MissingServer>, Problem> {
    let found = api.adapter.preflight(url).await?;
    let refused = node_of(url).and_then(|node| RefusedNode::new(node, &found));
    if let Some(refused) = refused {
        return Err(Problem::refused_node(refused));
    }
    for (server, why) in &found.missing {
        tracing::warn!(peer = %server, why, "a server did not say whether it could use the node that is added");
    }
    Ok(gather::missing_servers(&found.missing))
}

/// The id that the node at this address would have; none if it is no address.
pub(super) fn node_of(url: &str) -> Option<NodeId> {
    match url.strip_prefix("memory:") {
        Some(id) => NodeId::new(id).ok(),
        None => NodeUrl::parse(url).ok().map(|url| url.id().clone()),
    }
}
