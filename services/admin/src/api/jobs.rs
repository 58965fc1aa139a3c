//! Routes that change the nodes, and routes that show the progress of a change.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{NodeId, NodeUrl, ServerName};

use super::Api;
use super::body::JsonBody;
use crate::audit::Subject;
use crate::jobs::Job;
use crate::problem::Problem;

/// Body of `POST /api/v1/nodes`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Addition {
    /// `redis://host:port#id`, without credentials.
    url: String,
}

/// `POST /api/v1/nodes`
pub(super) async fn add_node(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(Addition { url }): JsonBody<Addition>,
) -> Result<Response, Problem> {
    if let Ok(node) = NodeUrl::parse(&url) {
        subject.name(format!("node {}", node.id()));
    }
    Ok(accepted(&api.jobs.add(&url)?, "jobs"))
}

/// `DELETE /api/v1/nodes/{id}`
pub(super) async fn remove_node(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    Ok(accepted(&api.jobs.remove(&NodeId::new(id)?)?, "../jobs"))
}

/// 202 with the job and its location. The location is relative: a proxy may put a prefix before the path.
fn accepted(job: &Job, jobs: &str) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(job)).into_response();
    // An id is hexadecimal digits and a dash, so this never fails.
    if let Ok(location) = HeaderValue::from_str(&format!("{jobs}/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Answer of `GET /api/v1/jobs`.
#[derive(Debug, Serialize)]
pub(super) struct JobList {
    /// The admin that has these jobs.
    admin: ServerName,
    /// Newest first.
    jobs: Vec<Job>,
}

/// `GET /api/v1/jobs`
pub(super) async fn jobs(State(api): State<Api>) -> Json<JobList> {
    Json(JobList {
        admin: api.adapter.name().clone(),
        jobs: api.jobs.list(),
    })
}

/// `GET /api/v1/jobs/{id}`
pub(super) async fn job(State(api): State<Api>, id: Result<Path<String>, PathRejection>) -> Result<Json<Job>, Problem> {
    let Path(id) = id?;
    api.jobs.job(&id).map(Json).ok_or_else(|| unknown(&api, &id))
}

/// A job is known to one admin only. The answer names this admin, and the one that has the job if it is alive.
fn unknown(api: &Api, id: &str) -> Problem {
    let me = api.adapter.name();
    let of_instance = id.rsplit_once('-').map_or("", |(instance, _)| instance);
    let servers = api.adapter.servers();
    let taker = servers
        .iter()
        .find(|server| server.instance.to_string() == of_instance)
        .map(|server| &server.name);
    let detail = match taker {
        Some(taker) if taker != me => format!(
            "this is {me}, and the job was taken by {taker}, the only admin that knows it: ask {taker} (several admins behind \
             one address answer in turn), or use GET /api/v1/nodes, which shows the state of each node on every admin"
        ),
        _ => format!(
            "{me} has no such job: only the admin that took a job knows it, until that admin ends or has taken a hundred newer \
             ones; GET /api/v1/nodes shows the state of each node on every admin"
        ),
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
}
