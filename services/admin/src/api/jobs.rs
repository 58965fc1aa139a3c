//! Routes that change the nodes, and routes that show the progress of a change.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::{NodeId, NodeUrl, ServerName};

use super::Api;
use super::address::OfPath;
use super::body::JsonBody;
use super::query::Params;
use crate::audit::Subject;
use crate::gather::{Cursor, Page};
use crate::jobs::Job;
use crate::problem::Problem;
use crate::shapes::Name;

/// A node to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNode)]
pub(super) struct Addition {
    /// redis[s]://host[:port][#id]; without user and password (each server uses its own) and without ?ca. The id is host:port if none
    /// is given.
    #[schema(pattern = r"^rediss?://[a-z0-9][a-z0-9.-]{0,60}(:[1-9][0-9]{0,3})?(#[A-Za-z0-9._-]{1,60})?$")]
    url: String,
}

/// Adds a Redis node for the whole cluster, at run time
///
/// Idempotent: adding an active node gives a job that is done. Adding a draining node cancels the drain.
#[utoipa::path(
    post, path = "/nodes", operation_id = "addNode", tag = "nodes",
    request_body(content = Addition, example = json!({"url": "redis://redis-4:6379#redis-4"})),
    responses(
        (status = 202, description = "The change was accepted; the job follows it.", body = Job,
            headers(("Location" = String, description = "The location of the job, relative to the request."))),
        (status = 409, description = "This change of the nodes is not possible now, or the first request with this idempotency key is \
            still running (code running)."),
    ),
)]
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

/// Drains a Redis node for the whole cluster, then removes it
///
/// Senders stop at once; subscribers stay for the replay window; then the node is gone and may be stopped. Idempotent.
#[utoipa::path(
    delete, path = "/nodes/{id}", operation_id = "removeNode", tag = "nodes",
    params(("id" = Name, Path, description = "The node's id.")),
    responses(
        (status = 202, description = "The change was accepted; the job follows it.", body = Job,
            headers(("Location" = String, description = "The location of the job, relative to the request."))),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "Not every counted server hears another active node, or the first request with this idempotency \
            key is still running (code running)."),
    ),
)]
pub(super) async fn remove_node(State(api): State<Api>, OfPath(id): OfPath<NodeId>) -> Result<Response, Problem> {
    Ok(accepted(&api.jobs.remove(&id)?, "../jobs"))
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

/// Changes of the nodes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobList {
    /// The admin that has these jobs.
    #[schema(value_type = Name)]
    admin: ServerName,
    /// The last hundred, newest first.
    jobs: Vec<Job>,
    /// The cursor of the next page; null at the end.
    #[schema(value_type = Option<String>, required = true)]
    next: Option<Cursor<String>>,
}

/// Changes of the nodes that this admin took
#[utoipa::path(
    get, path = "/jobs", operation_id = "jobs", tag = "nodes",
    params(Page<String>),
    responses((status = 200, description = "A page of the jobs, newest first.", body = JobList)),
)]
pub(super) async fn jobs(State(api): State<Api>, Params(page): Params<Page<String>>) -> Json<JobList> {
    let all = api.jobs.list();
    // A job that is no longer kept was followed only by older ones, of which none is kept either.
    let first = match page.after() {
        None => 0,
        Some(after) => all
            .iter()
            .position(|job| job.id == *after)
            .map_or(all.len(), |place| place + 1),
    };
    let mut jobs: Vec<_> = all.into_iter().skip(first).take(page.limit() + 1).collect();
    let is_last = jobs.len() <= page.limit();
    jobs.truncate(page.limit());
    let next = jobs.last().filter(|_| !is_last).map(|job| Cursor(job.id.clone()));
    Json(JobList {
        admin: api.adapter.name().clone(),
        jobs,
        next,
    })
}

/// The progress of a change on every server
#[utoipa::path(
    get, path = "/jobs/{id}", operation_id = "job", tag = "nodes",
    params(("id" = Name, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The job.", body = Job),
        (status = 404, description = "This admin has no such job."),
    ),
)]
pub(super) async fn job(State(api): State<Api>, OfPath(id): OfPath<String>) -> Result<Json<Job>, Problem> {
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
