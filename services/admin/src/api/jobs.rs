//! Routes that change the nodes, and routes that show the progress of a change. Every admin answers for every job.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{NodeId, ServerName};

use super::Api;
use super::body::JsonBody;
use crate::jobs::{Changes, Job, MOST_JOBS};
use crate::problem::Problem;

/// How often a stream without news sends a comment, so that nothing in between takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

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
    JsonBody(Addition { url }): JsonBody<Addition>,
) -> Result<Response, Problem> {
    Ok(accepted(&api.jobs.add(&url).await?, "jobs"))
}

/// `DELETE /api/v1/nodes/{id}`
pub(super) async fn remove_node(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    Ok(accepted(&api.jobs.remove(&NodeId::new(id)?).await?, "../jobs"))
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

/// Which jobs to return.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobsPage {
    /// Most jobs; 1 to 100.
    #[serde(default = "all")]
    limit: usize,
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
}

fn all() -> usize {
    MOST_JOBS
}

/// Answer of `GET /api/v1/jobs`.
#[derive(Debug, Serialize)]
pub(super) struct JobList {
    /// The admin that answers. All admins have the same jobs.
    admin: ServerName,
    /// Newest first.
    jobs: Vec<Job>,
    /// The cursor of the next page; null at the end.
    next: Option<String>,
}

/// `GET /api/v1/jobs?limit=&cursor=`
pub(super) async fn jobs(
    State(api): State<Api>,
    page: Result<Query<JobsPage>, QueryRejection>,
) -> Result<Json<JobList>, Problem> {
    let Query(JobsPage { limit, cursor }) = page?;
    if !(1..=MOST_JOBS).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {MOST_JOBS}")));
    }
    let after = cursor.as_deref().map(Place::read).transpose()?;
    let mut jobs = api.jobs.list();
    if let Some(after) = after {
        jobs.retain(|job| Place::of(job) < after);
    }
    let next = jobs.get(limit).is_some();
    jobs.truncate(limit);
    Ok(Json(JobList {
        admin: api.adapter.name().clone(),
        next: jobs.last().filter(|_| next).map(|job| Place::of(job).cursor()),
        jobs,
    }))
}

/// Where a job stands in the list, as a cursor: a page goes on there, whatever happened to the list meanwhile.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    started_ns: i128,
    id: String,
}

impl Place {
    fn of(job: &Job) -> Self {
        Self {
            started_ns: job.started_at.as_nanosecond(),
            id: job.id.clone(),
        }
    }

    fn cursor(&self) -> String {
        format!("{:x}.{}", self.started_ns, self.id)
    }

    fn read(cursor: &str) -> Result<Self, Problem> {
        let parts = cursor.split_once('.');
        let read = parts.and_then(|(started, id)| {
            Some(Self {
                started_ns: i128::from_str_radix(started, 16).ok()?,
                id: id.to_owned(),
            })
        });
        read.ok_or_else(|| Problem::bad_request("cursor is not one of this list: take it from next of the page before"))
    }
}

/// `GET /api/v1/jobs/{id}`
pub(super) async fn job(State(api): State<Api>, id: Result<Path<String>, PathRejection>) -> Result<Json<Job>, Problem> {
    let Path(id) = id?;
    api.jobs.job(&id).map(Json).ok_or_else(|| unknown(&api, &id))
}

/// `GET /api/v1/jobs/{id}/events`: server-sent events named `job`, one now and one with every change, until the job has ended.
pub(super) async fn events(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Path(id) = id?;
    // Before the job is read, so that nothing happens in between.
    let changes = api.jobs.subscribe();
    let job = api.jobs.job(&id).ok_or_else(|| unknown(&api, &id))?;
    let stream = futures_util::stream::unfold(Progress::Now(job, changes), async |progress| {
        let (job, changes) = progress.next().await?;
        let event = Event::default().event("job").json_data(&job);
        let rest = match job.is_running() {
            true => Progress::Later(job.id, changes),
            false => Progress::Over,
        };
        Some((event, rest))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// What a stream of one job's progress sends next.
enum Progress {
    Now(Job, Changes),
    Later(String, Changes),
    Over,
}

impl Progress {
    async fn next(self) -> Option<(Job, Changes)> {
        match self {
            Self::Now(job, changes) => Some((job, changes)),
            Self::Later(id, mut changes) => loop {
                let changed = changes.next().await?;
                if let Some(job) = changed.into_iter().find(|job| job.id == id) {
                    return Some((job, changes));
                }
            },
            Self::Over => None,
        }
    }
}

/// No admin knows the job, except perhaps one of the version before, which tells nobody.
fn unknown(api: &Api, id: &str) -> Problem {
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
