//! The route that changes how many Redis nodes there are, in Kubernetes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::answers::accepted;
use super::body::JsonBody;
use crate::audit::Subject;
use crate::json::whole_number;
use crate::kubernetes::ScaleFault;
use crate::problem::Problem;
use crate::scaler::{Accepted, NotScaled, REPLICAS};

/// How many Redis nodes the StatefulSet shall have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Scale)]
pub(super) struct Wanted {
    #[schema(minimum = 1, maximum = 32)]
    #[serde(deserialize_with = "whole_number")]
    replicas: u32,
}

/// The StatefulSet has that number already.
#[derive(Serialize, ToSchema)]
#[schema(as = Scaled)]
struct AsItIs {
    replicas: u32,
}

/// Scales the StatefulSet of the Redis nodes, losing nothing
///
/// Only in Kubernetes. Fewer: the nodes with the highest ordinals are drained, one after the other, before their pods end. More: the pods
/// are started, and the job is done when all servers use them as nodes. Idempotent: asking for what is being done gives the same job.
#[utoipa::path(
    post, path = "/nodes/scale", operation_id = "scaleNodes", tag = "nodes",
    request_body(content = Wanted, example = json!({"replicas": 3})),
    responses(
        (status = 200, description = "It has so many replicas already; nothing was changed.", body = AsItIs),
        (status = 202, description = "The change was accepted; the job follows it.", body = crate::jobs::Job,
            headers(("Location" = String, description = "The location of the job, relative to the request."))),
        (status = 409, description = "Another number of replicas is being made, or there is no StatefulSet that this admin scales; or the \
            first request with this idempotency key is still running (code running)."),
        (status = 502, description = "The Kubernetes API refused to show the StatefulSet."),
        (status = 504, description = "The Kubernetes API did not answer."),
    ),
)]
pub(super) async fn scale(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(Wanted { replicas }): JsonBody<Wanted>,
) -> Result<Response, Problem> {
    subject.name(format!("{replicas} replicas"));
    if !REPLICAS.contains(&replicas) {
        let (least, most) = (REPLICAS.start(), REPLICAS.end());
        return Err(Problem::bad_request(format!(
            "replicas is {replicas}: write a number from {least} to {most}"
        )));
    }
    let scaler = api.scaler.as_ref().ok_or_else(elsewhere)?;
    match scaler.scale(replicas).await? {
        Accepted::Job(job) => Ok(accepted(&job, "../jobs")),
        Accepted::Already => Ok((StatusCode::OK, Json(AsItIs { replicas })).into_response()),
    }
}

/// There is nothing to scale.
fn elsewhere() -> Problem {
    let detail = "this admin scales no StatefulSet: outside of Kubernetes, start another Redis and add it with POST /api/v1/nodes, or remove \
                  one with DELETE /api/v1/nodes/{id}; in Kubernetes, name the StatefulSet with --kubernetes-redis-statefulset (the chart \
                  does)";
    Problem::new(StatusCode::CONFLICT, detail).untouched()
}

impl From<NotScaled> for Problem {
    fn from(error: NotScaled) -> Self {
        let status = match &error {
            NotScaled::Running { .. }
            | NotScaled::Names(_)
            | NotScaled::Ordinals { .. }
            | NotScaled::Kubernetes(ScaleFault::Changed) => StatusCode::CONFLICT,
            NotScaled::Kubernetes(ScaleFault::Refused(_) | ScaleFault::Absent(_)) => StatusCode::BAD_GATEWAY,
            NotScaled::Kubernetes(ScaleFault::Unavailable(_)) => StatusCode::GATEWAY_TIMEOUT,
        };
        Self::new(status, error.to_string()).untouched()
    }
}
