//! `POST /api/v1/batch`: many commands in one request.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::Api;
use super::body::Lines;
use crate::access::Caller;
use crate::audit::{Audit, Entry, Subject};
use crate::commands::{
    Deeds, LONGEST_ASK,
    batch::{self, Command, LineResult},
};
use crate::problem::Problem;

/// Carries out up to 1,000 commands, one a line
///
/// A line that cannot be read or carried out is a problem of that line only. Commands of one kind that follow each other are started
/// in their order without waiting for each other; sendToRoom, sendToClient and broadcast are of one kind. A command of another kind
/// waits until those before it have ended. A batch ends after 60 s: what has not ended then is 503 with the code overdue. The results
/// have at most 8 MiB: a result that does not fit is 413 with the code answer-forgotten, and lines that are left then are not carried
/// out, 413 with the code answer-too-large.
#[utoipa::path(
    post, path = "/batch", operation_id = "batch", tag = "messages",
    request_body(
        content = Command, content_type = "application/x-ndjson",
        description = "One command a line.",
        example = json!({"sendToRoom": {"room": {"namespace": "chat", "id": "lobby"}, "event": "say", "payload": {"msg": "hello"}}}),
    ),
    responses(
        (status = 200, description = "One result a line, in the order of the commands.", body = LineResult,
            content_type = "application/x-ndjson"),
    ),
)]
pub(super) async fn run(
    State(api): State<Api>,
    caller: Caller,
    subject: Subject,
    Lines(body): Lines,
) -> Result<Response, Problem> {
    // The rest of the request's time limit is left for the body, and for writing the results.
    let deadline = Instant::now() + LONGEST_ASK;
    let done = Recorded {
        audit: &api.audit,
        caller: &caller,
        deeds: Deeds::default(),
    };
    let results = batch::run(&api.adapter, &caller, &body, deadline, &done.deeds).await?;
    subject.recorded();
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], results).into_response())
}

/// What a batch did. It is recorded when this is dropped: also if the caller goes away before the end.
struct Recorded<'a> {
    audit: &'a Audit,
    caller: &'a Caller,
    deeds: Deeds,
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        for (action, targets, status, count) in self.deeds.take() {
            let entry = Entry::of_several(action, targets, status, count);
            self.audit.record(self.caller, entry);
        }
    }
}
