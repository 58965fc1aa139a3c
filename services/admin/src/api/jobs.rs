//! Routes that change the nodes, and routes that show the changes. Every admin answers for every job.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wsmesh_adapter::{NodeId, ServerName};

use super::Api;
use super::address::OfPath;
use super::answers::{self, Addition, accepted};
use super::body::JsonBody;
use super::preflight;
use super::query::Params;
use crate::audit::Subject;
use crate::gather::{Cursor, Page};
use crate::jobs::{Job, MOST_JOBS};
use crate::problem::Problem;
use crate::shapes::Name;

/// How to add it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Adding {
    /// Add it without a preflight.
    #[serde(default)]
    force: bool,
}

/// Adds a Redis node for the whole cluster, at run time
///
/// Before anything changes, this admin and at least two other servers try whether they could use it (a preflight). Idempotent: adding
/// an active node gives a job that is done. Adding a draining node cancels the drain.
#[utoipa::path(
    post, path = "/nodes", operation_id = "addNode", tag = "nodes",
    params(Adding),
    request_body(content = Addition, example = json!({"url": "redis://redis-4:6379#redis-4"})),
    responses(
        (status = 202, description = "The change was accepted; the job follows it.", body = Job,
            headers(("Location" = String, description = "The location of the job, relative to the request."))),
        (status = 409, description = "This change of the nodes is not possible now, or the first request with this idempotency key is \
            still running (code running)."),
        (status = 422, description = "Some server could not use the node, or too few servers tried, and nothing was changed: node, servers and missing say what \
            to do (code preflight). Or another request had this idempotency key."),
    ),
)]
pub(super) async fn add_node(
    State(api): State<Api>,
    subject: Subject,
    Params(Adding { force }): Params<Adding>,
    JsonBody(Addition { url }): JsonBody<Addition>,
) -> Result<Response, Problem> {
    let node = preflight::node_of(&url);
    if let Some(node) = &node {
        let how = if force { " by force" } else { "" };
        subject.name(format!("node {node}{how}"));
    }
    let is_checked = !force && !node.is_some_and(|node| api.jobs.is_in_use(&node));
    let missing = match is_checked {
        true => preflight::check(&api, &url).await?,
        false => Vec::new(),
    };
    Ok(accepted(&api.jobs.add(&url, missing).await?, "jobs"))
}

/// How to remove it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Removing {
    /// Remove it also if the Kubernetes API does not say whether a StatefulSet keeps its pod.
    #[serde(default)]
    force: bool,
}

/// Drains a Redis node for the whole cluster, then removes it
///
/// Senders stop at once; subscribers stay for the replay window; then the node is gone and may be stopped. Idempotent.
#[utoipa::path(
    delete, path = "/nodes/{id}", operation_id = "removeNode", tag = "nodes",
    params(("id" = Name, Path, description = "The node's id."), Removing),
    responses(
        (status = 202, description = "The change was accepted; the job follows it.", body = Job,
            headers(("Location" = String, description = "The location of the job, relative to the request."))),
        (status = 404, description = "There is no such node."),
        (status = 409, description = "Not every counted server hears another active node, or a StatefulSet keeps the node's pod (use \
            nodes/scale; force if the Kubernetes API does not say so), or the first request with this idempotency key is still running (code running)."),
    ),
)]
pub(super) async fn remove_node(
    State(api): State<Api>,
    subject: Subject,
    OfPath(id): OfPath<NodeId>,
    Params(Removing { force }): Params<Removing>,
) -> Result<Response, Problem> {
    if force {
        subject.name(format!("node {id} by force"));
    }
    if let Some(scaler) = &api.scaler
        && let Some(owned) = scaler.owner_of(&id).await
        && !(force && owned.doubt.is_some())
    {
        return Err(answers::owned(&owned));
    }
    Ok(accepted(&api.jobs.remove(&id).await?, "../jobs"))
}

/// Where a job stands in the list: a page goes on there, whatever happened to the list meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place(Timestamp, String);

impl Place {
    fn of(job: &Job) -> Self {
        Self(job.started_at, job.id.clone())
    }
}

/// Changes of the nodes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(super) struct JobList {
    /// The admin that answers; all admins have the same jobs.
    #[schema(value_type = Name)]
    admin: ServerName,
    /// Newest first. The last hundred are kept.
    jobs: Vec<Job>,
    /// The cursor of the next page; null at the end.
    #[schema(value_type = Option<String>, required = true)]
    next: Option<Cursor<Place>>,
}

/// Changes of the nodes, whichever admin accepted them
#[utoipa::path(
    get, path = "/jobs", operation_id = "jobs", tag = "nodes",
    params(Page<Place>),
    responses((status = 200, description = "A page of the jobs, newest first.", body = JobList)),
)]
pub(super) async fn jobs(State(api): State<Api>, Params(page): Params<Page<Place>>) -> Json<JobList> {
    let mut jobs = api.jobs.list();
    if let Some(after) = page.after() {
        jobs.retain(|job| Place::of(job) < *after);
    }
    let is_last = jobs.len() <= page.limit();
    jobs.truncate(page.limit());
    let next = jobs.last().filter(|_| !is_last).map(|job| Cursor(Place::of(job)));
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
        (status = 404, description = "No admin has such a job."),
    ),
)]
pub(super) async fn job(State(api): State<Api>, OfPath(id): OfPath<String>) -> Result<Json<Job>, Problem> {
    api.jobs.job(&id).map(Json).ok_or_else(|| unknown(&api, &id))
}

/// No admin knows the job, except perhaps one of the version before, which tells nobody.
pub(super) fn unknown(api: &Api, id: &str) -> Problem {
    let me = api.adapter.name();
    let of_instance = id.rsplit_once('-').map_or("", |(instance, _)| instance);
    let servers = api.adapter.servers();
    let taker = servers
        .iter()
        .find(|server| server.instance.to_string() == of_instance && server.name != *me);
    let detail = match taker {
        Some(taker) => format!(
            "{me} has no such job: {}, which runs version {}, accepted it and does not tell other admins of its jobs: ask it (several \
             admins behind one address answer in turn), or use GET /api/v1/nodes, which shows the state of each node on every server",
            taker.name, taker.version
        ),
        None => format!(
            "there is no such job: the last {MOST_JOBS} are kept, and only while an admin runs; GET /api/v1/nodes shows the state of \
             each node on every server"
        ),
    };
    Problem::new(StatusCode::NOT_FOUND, detail)
}
