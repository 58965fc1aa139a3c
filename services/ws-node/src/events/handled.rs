//! Events that handlers of the program handle: the program's runtime runs them, in the order of the client's events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::task::JoinError;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{Instrument, Span};
use wsmesh_adapter::{Frame, failed, shown_code};
use wsmesh_protocol::{CallbackId, ErrorCode, frame};

use super::call::{Call, Tally};
use super::happenings::{self, HANDLER_LIMIT, client_of};
use super::refusal::Refusal;
use super::work::Work;
use crate::event_metrics::EventMetrics;
use crate::handlers::{Client, ClientFault, Found, Listed, OnEvent};
use crate::metrics::{HandlerFailure, RefusalMetrics};

/// Runs the handlers of an event; None if they have run for the last time. A request is answered by its deadline; what its
/// handlers still do then is given up.
pub(super) fn handle(found: &Found, call: Call<'_>) -> Option<Work> {
    let (session, edge) = (call.session.clone(), Arc::clone(call.edge()));
    let entries = found.take();
    if found.has_spent() {
        edge.handlers.forget_spent();
    }
    if entries.is_empty() {
        return None;
    }
    let deadline = match call.callback_id {
        Some(_) => call.deadline,
        None => call.received_at + HANDLER_LIMIT,
    };
    let answer = Arc::new(Answer {
        callback_id: call.callback_id.cloned().map(CallbackId::into_owned),
        refused: edge.metrics.frames.refused_requests.clone(),
        tally: call.tally(),
        events: edge.metrics.events.clone(),
        sending: edge.sessions.clone(),
        span: Span::current(),
        is_given: AtomicBool::new(false),
    });
    let running = run(
        entries,
        client_of(&session),
        call.payload.to_owned(),
        Arc::clone(&answer),
    );
    let (turn, span, event) = (
        session.handler().turns.next(),
        Span::current(),
        Arc::clone(&found.event),
    );
    Some(Work::Handed(Box::pin(async move {
        let handled = async {
            let turn = turn.await;
            let task = async move {
                running.await;
                drop(turn);
            };
            AbortOnDropHandle::new(edge.runtime.spawn(task.instrument(span))).await
        };
        let refusal = match tokio::time::timeout_at(deadline.into(), handled).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                edge.metrics.frames.handler_failed(HandlerFailure::of(&error));
                let refusal = ended(&error, &event);
                if error.is_panic() {
                    happenings::fault(&session, || ClientFault::Panicked { event });
                }
                refusal
            }
            Err(_) => {
                edge.metrics.frames.handler_failed(HandlerFailure::TooLate);
                tracing::debug!(
                    event = &*event,
                    "the handlers of a client's event took too long and were given up"
                );
                Refusal::new(ErrorCode::Timeout, "the request was not handled in time")
            }
        };
        // The answer may have gone out just before.
        if answer.take() { Err(refusal) } else { Ok(()) }
    })))
}

fn ended(error: &JoinError, event: &str) -> Refusal {
    if error.is_panic() {
        tracing::error!(event, "a handler of a client's event panicked; see the log before this");
        return Refusal::new(ErrorCode::Internal, "the event could not be handled: an internal error");
    }
    Refusal::new(ErrorCode::Unavailable, "this server is shutting down")
}

/// The first handler's result is the answer.
async fn run(entries: Listed<OnEvent>, client: Client, payload: Box<RawValue>, answer: Arc<Answer>) {
    for entry in &entries {
        let result = (entry.run)(client.clone(), &payload).await;
        answer.give(&client, result).await;
    }
}

/// The answer to one event: given once, by its handler or in its place.
struct Answer {
    callback_id: Option<CallbackId<'static>>,
    refused: RefusalMetrics,
    tally: Tally,
    events: EventMetrics,
    /// Sends it, even if its handlers are given up while the shard has no place for it.
    sending: TaskTracker,
    /// The span of the event.
    span: Span,
    is_given: AtomicBool,
}

impl Answer {
    /// Whether the caller is the one to give it.
    fn take(&self) -> bool {
        !self.is_given.swap(true, Ordering::Relaxed)
    }

    /// Sends it the way that the handler's pushes went, so that it comes after them.
    async fn give(&self, client: &Client, result: Result<Bytes, wsmesh_adapter::Refusal>) {
        if !self.take() {
            return;
        }
        if let Err(refusal) = &result {
            failed(&self.span, shown_code(&refusal.code));
        }
        let code = result.as_ref().err().map(|refusal| &*refusal.code);
        self.tally.ended(&self.events, code);
        let reply = match (&self.callback_id, result) {
            (Some(id), Ok(json)) => frame::reply(id.clone(), json),
            (Some(id), Err(refusal)) => {
                self.refused.count(&refusal.code);
                frame::reply_value(id.clone(), &refusal)
            }
            (None, Ok(_)) => return,
            (None, Err(refusal)) => {
                return tracing::debug!(client = %client.id(), code = %refusal.code, "an event was not handled");
            }
        };
        let client = client.clone();
        let sent = self.sending.spawn(async move { client.send(Frame::new(reply)).await });
        if sent.await.is_err() {
            tracing::debug!("a reply was not sent: this server ends");
        }
    }
}
