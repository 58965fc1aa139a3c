//! The progress of one job as a stream. Only its newest version is sent to a caller that reads slowly; it ends when the job has ended.

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{StreamExt, stream};

use super::Api;
use super::address::OfPath;
use super::jobs::unknown;
use super::seats::Kind;
use crate::access::Caller;
use crate::jobs::{Changes, Job};
use crate::problem::Problem;
use crate::shapes::{self, Name};

/// How often a stream without news sends a comment, so that nothing in between takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The progress of a change as it happens
///
/// Server-sent events called job, whose data is a Job: one now, one with every change. The stream ends when the job has ended.
#[utoipa::path(
    get, path = "/jobs/{id}/events", operation_id = "jobEvents", tag = "nodes",
    params(("id" = Name, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The events.", body = shapes::StreamEvent, content_type = "text/event-stream"),
        (status = 404, description = "No admin has such a job."),
        (status = 429, description = "This caller has as many streams as one may have (code too-many-streams)."),
    ),
)]
pub(super) async fn events(
    State(api): State<Api>,
    caller: Caller,
    OfPath(id): OfPath<String>,
) -> Result<impl IntoResponse, Problem> {
    // Before the job is read, so that nothing is missed in between.
    let changes = api.jobs.subscribe();
    let job = api.jobs.job(&id).ok_or_else(|| unknown(&api, &id))?;
    let seat = api.seats.take(&caller, Kind::Follow)?;
    let events = stream::unfold(Progress::Now(Box::new(job), changes), async |progress| {
        let (job, changes) = progress.next().await?;
        let event = Event::default().event("job").json_data(&job);
        let rest = match job.is_running() {
            true => Progress::Later(job.id, changes),
            false => Progress::Over,
        };
        Some((event, rest))
    });
    // Whoever lost the right to read it gets no more of it.
    let events = seat.hold(events.take_until(async move { caller.ended().await }));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// What is sent next.
enum Progress {
    Now(Box<Job>, Changes),
    Later(String, Changes),
    Over,
}

impl Progress {
    async fn next(self) -> Option<(Job, Changes)> {
        match self {
            Self::Now(job, changes) => Some((*job, changes)),
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
