//! Requests with an `Idempotency-Key` are carried out once: repeats get the answer of the first. A request with a key runs to its
//! end, even if its caller goes away meanwhile. Knows HTTP; what is remembered, and for how long, is decided in `idempotency`.

use std::panic::AssertUnwindSafe;

use axum::body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::time::timeout;
use tracing::Instrument;

use super::bodies::Allowance;
use super::body::whole;
use super::limits::overdue;
use super::{Api, after_panic};
use crate::access::Caller;
use crate::audit::Subject;
use crate::idempotency::{Answer, Taken, key};
use crate::problem::{Effect, Problem, RUNNING};

/// Middleware: answers repeats.
pub(super) async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::POST | Method::PUT | Method::DELETE) {
        return next.run(request).await;
    }
    match key(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => run_once(api, of_caller(&request, &key), request, next)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Err(problem) => problem.into_response(),
    }
}

/// A caller's keys are its own: no other gets its answers, or is in its way.
fn of_caller(request: &Request, key: &str) -> String {
    let name = request.extensions().get::<Caller>().map_or("", |caller| &caller.name);
    format!("{name} {key}")
}

async fn run_once(api: Api, key: String, request: Request, next: Next) -> Result<Response, Problem> {
    let subject = request.extensions().get::<Subject>().cloned().unwrap_or_default();
    let (head, body) = request.into_parts();
    let reading = whole(Request::from_parts(head.clone(), body));
    let (_, body) = timeout(api.time_limit, reading)
        .await
        .map_err(|_| overdue(api.time_limit))??;
    let fingerprint = api.keys.fingerprint(&head.method, &head.uri, &body);
    let entry = match api.keys.take(key, fingerprint) {
        Taken::New(entry) => entry,
        Taken::Repeat(answer) => {
            subject.repeats();
            return Ok(respond(answer));
        }
        Taken::Running => {
            let detail = "the first request with this idempotency key is still running; repeat it in a moment";
            return Err(Problem::new(StatusCode::CONFLICT, detail).with_code(RUNNING));
        }
        Taken::Different => {
            let detail = "this idempotency key was used for another request: use a new key for each request";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_code("key-reused"));
        }
        Taken::Full => {
            let detail = "too many idempotency keys are in use; try again later, or ask another admin";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("too-many-keys"));
        }
    };
    let allowance = head.extensions.get::<Allowance>().cloned();
    let request = Request::from_parts(head, body.into());
    let running = async move {
        // The body counts until the request has ended, whether its caller waits or not.
        let _counts = allowance;
        // A panic has an answer, too, or a repeat would do again what was done before it.
        let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = response.unwrap_or_else(after_panic);
        let is_untouched = response.extensions().get() == Some(&Effect::None);
        let (mut head, body) = response.into_parts();
        head.extensions.clear();
        // The bodies of answers are whole already, so this cannot fail.
        let body = body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        if !is_untouched {
            // A repeat gets the same answer, however late it comes.
            head.headers.remove(header::RETRY_AFTER);
        }
        let answer = Answer { head, body };
        // Its record tells what came of it, whether its caller waited or not.
        subject.answered(answer.head.status);
        if !is_untouched {
            entry.finish(answer.clone());
        }
        answer
    };
    match api.keys.run(running.in_current_span()).await {
        Some(answer) => Ok(respond(answer)),
        None => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this admin is shutting down: it is not known whether the request was carried out",
        )),
    }
}

fn respond(answer: Answer) -> Response {
    Response::from_parts(answer.head, answer.body.into())
}
