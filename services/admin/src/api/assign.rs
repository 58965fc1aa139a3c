//! Says to a new client which ws-node it should use.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wsmesh_adapter::{ClientId, ServerName};

use super::Api;
use super::query::Params;
use crate::gather::{self, Choice, NoEdge};
use crate::problem::Problem;
use crate::shapes::Name;

/// Who asks, and for which ws-node.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wish {
    /// The client's id; needed by hash.
    #[param(min_length = 1, max_length = 255)]
    client: Option<String>,
    /// hash: a client gets the same ws-node every time, as long as it is there; load: the one with the fewest clients. Default: hash
    /// with a client, else load.
    #[param(inline)]
    by: Option<By>,
    /// Only ws-nodes with these labels: zone:a, or zone:a,tier:b.
    label: Option<String>,
}

/// How a ws-node is chosen.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Hash,
    Load,
}

/// The ws-node that a client should use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assignment {
    #[schema(value_type = Name)]
    server: ServerName,
    /// Where the client connects: the server's public_url.
    url: String,
    /// The server's labels.
    labels: BTreeMap<String, String>,
}

/// The ws-node that a new client should use
///
/// Ws-nodes that are draining, starting or isolated are left out, and those without a public_url.
#[utoipa::path(
    get, path = "/assign", operation_id = "assign", tag = "clients",
    params(Wish),
    responses(
        (status = 200, description = "A ws-node.", body = Assignment),
        (status = 404, description = "No ws-node has these labels; the detail names those that exist."),
        (status = 409, description = "No ws-node says where clients reach it (--public-url)."),
    ),
)]
pub(super) async fn assign(State(api): State<Api>, Params(wish): Params<Wish>) -> Result<Json<Assignment>, Problem> {
    let labels = wish.label.as_deref().map(labels).transpose()?.unwrap_or_default();
    let choice = choice(wish.by, wish.client)?;
    // Of the last second: many clients may ask at once.
    let snapshot = api.statistics.current().await;
    let (edge, url) = gather::assign(&snapshot.edges, &choice, &labels).map_err(problem)?;
    edge.count();
    Ok(Json(Assignment {
        server: edge.server.clone(),
        url: url.to_owned(),
        labels: edge.labels.clone(),
    }))
}

fn choice(by: Option<By>, client: Option<String>) -> Result<Choice, Problem> {
    let client = client.map(ClientId::new).transpose()?;
    match (by, client) {
        (None | Some(By::Hash), Some(client)) => Ok(Choice::Hash(client.to_string())),
        (None | Some(By::Load), _) => Ok(Choice::Load),
        (Some(By::Hash), None) => Err(Problem::bad_request(
            "by=hash needs the id of the client: add client=ID, or write by=load",
        )),
    }
}

/// `zone:a,tier:b`
fn labels(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let label = |part: &str| {
        let (name, value) = part.split_once(':')?;
        let is_whole = !name.is_empty() && !value.is_empty();
        is_whole.then(|| (name.to_owned(), value.to_owned()))
    };
    let labels = text.split(',').map(label).collect::<Option<_>>();
    labels
        .ok_or_else(|| Problem::bad_request("label must be NAME:VALUE, or several with commas between: zone:a,tier:b"))
}

fn problem(none: NoEdge) -> Problem {
    let (status, detail) = match none {
        NoEdge::Unlabelled(existing) if existing.is_empty() => (
            StatusCode::NOT_FOUND,
            "no ws-node has these labels, as none has any: start ws-nodes with --labels".to_owned(),
        ),
        NoEdge::Unlabelled(existing) => (
            StatusCode::NOT_FOUND,
            format!(
                "no ws-node has all of these labels; ws-nodes have {}",
                existing.join(", ")
            ),
        ),
        NoEdge::Unreachable => (
            StatusCode::CONFLICT,
            "no ws-node that answered says where clients reach it: start ws-nodes with --public-url".to_owned(),
        ),
        NoEdge::AllBusy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "every ws-node is draining, starting or isolated: try again in a moment; GET /api/v1/cluster shows them"
                .to_owned(),
        ),
    };
    Problem::new(status, detail).untouched()
}
