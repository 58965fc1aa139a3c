//! What routes that change nodes have in common: the node in a request, and the answers to it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::jobs::Job;
use crate::problem::Problem;
use crate::scaler::Owned;

/// A node to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNode)]
pub(super) struct Addition {
    /// redis[s]://host[:port][#id]; without user and password (each server uses its own) and without ?ca. The id is host:port if none
    /// is given.
    #[schema(pattern = r"^rediss?://[a-z0-9][a-z0-9.-]{0,60}(:[1-9][0-9]{0,3})?(#[A-Za-z0-9._-]{1,60})?$")]
    pub(super) url: String,
}

/// 202 with the job and its location. The location is relative: a proxy may put a prefix before the path.
pub(super) fn accepted(job: &Job, jobs: &str) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(job)).into_response();
    // An id is hexadecimal digits and a dash, so this never fails.
    if let Ok(location) = HeaderValue::from_str(&format!("{jobs}/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A node that would come back if it were removed.
pub(super) fn owned(owned: &Owned) -> Problem {
    let Owned {
        stateful_set,
        pod,
        ordinal,
        doubt,
    } = owned;
    if let Some(doubt) = doubt {
        let detail = format!(
            "this node is pod {pod} of StatefulSet {stateful_set}, and whether that keeps it is not known: {doubt}. If it does, the node comes \
             back; ?force=true removes it all the same"
        );
        return Problem::new(StatusCode::CONFLICT, detail).untouched();
    }
    let fewer = match ordinal {
        0 => String::new(),
        _ => format!(" To have fewer nodes, POST /api/v1/nodes/scale {{\"replicas\": {ordinal}}}."),
    };
    let detail = format!(
        "this node is pod {pod} of StatefulSet {stateful_set}, which keeps it: the node would come back.{fewer} To restart it, kubectl \
         delete pod {pod}"
    );
    Problem::new(StatusCode::CONFLICT, detail).untouched()
}
