//! Sees the handling of an event through to its end, and sends the reply.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tracing::{Instrument, Span};
use wsmesh_adapter::{ClientId, Frame, failed};
use wsmesh_protocol::{CallbackId, ErrorCode, frame};

use super::call::{Call, refuse};
use super::refusal::Refusal;
use crate::client::Session;
use crate::watching::ConnectionTap;

/// The result of a client's event: the reply's payload as JSON, or why there is none.
pub(super) type Outcome = Result<Bytes, Refusal>;

/// How an event is handled: at once, later, or by a service that replies to the client itself.
pub(super) enum Work {
    Done(Outcome),
    Later(Pin<Box<dyn Future<Output = Outcome>>>),
    /// Later: the reply may be a service's error, which is passed on as it is.
    Relayed(Pin<Box<dyn Future<Output = Relayed>>>),
    /// Later, without a reply, and bounded by its handler: frames of the client are read meanwhile, however many of these there
    /// are.
    Aside(Pin<Box<dyn Future<Output = Outcome>>>),
    Handed(Pin<Box<dyn Future<Output = Result<(), Refusal>>>>),
}

/// The outcome of a request that a service answers.
pub(super) struct Relayed {
    pub(super) outcome: Outcome,
    /// The code of the error that the reply is, as metrics and spans show it.
    pub(super) refused: Option<&'static str>,
}

impl From<Outcome> for Relayed {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, refused: None }
    }
}

impl Relayed {
    /// The code for metrics.
    fn code(&self) -> Option<&str> {
        self.refused.or(code_of(&self.outcome))
    }
}

impl Work {
    /// A request ends by its deadline, whatever it waits for: it must be answered before its client gives up.
    pub(super) fn later(call: Call<'_>, work: impl Future<Output = Outcome> + 'static) -> Self {
        if call.callback_id.is_none() {
            return Self::Later(Box::pin(work));
        }
        let deadline = call.deadline.into();
        Self::Later(Box::pin(async move {
            let too_late = |_| Err(Refusal::new(ErrorCode::Timeout, "the request was not handled in time"));
            tokio::time::timeout_at(deadline, work).await.unwrap_or_else(too_late)
        }))
    }

    /// Runs the work to its end, and answers the client.
    pub(super) fn run(self, call: Call<'_>, span: Span) {
        match self {
            Self::Done(outcome) => answer_now(call, outcome.into(), &span),
            Self::Later(work) => drive(call, work, |outcome| Some(outcome.into()), span),
            Self::Relayed(work) => drive(call, work, Some, span),
            Self::Aside(work) => drive_aside(call, work, span),
            // The service answers the client; only what no service took is answered here.
            Self::Handed(work) => drive(
                call,
                work,
                |handed| handed.err().map(|refusal| Relayed::from(Err(refusal))),
                span,
            ),
        }
    }
}

/// Polls the work once, so that frames take effect in the order they came. Work that is not done then continues.
/// `outcome_of` gives the outcome for the client, if it is answered here.
fn drive<T: 'static>(
    call: Call<'_>,
    mut work: Pin<Box<dyn Future<Output = T>>>,
    outcome_of: fn(T) -> Option<Relayed>,
    span: Span,
) {
    if let Poll::Ready(result) = span.in_scope(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
        if let Some(outcome) = outcome_of(result) {
            answer_now(call, outcome, &span);
        }
        return;
    }
    let (session, tally) = (call.session, call.tally());
    let callback_id = call.callback_id.cloned().map(CallbackId::into_owned);
    let in_flight = match callback_id {
        Some(_) => session.begin_request(),
        None => session.begin_event(),
    };
    session.spawn(async move {
        let result = work.instrument(span.clone()).await;
        if let Some(outcome) = outcome_of(result) {
            let events = &in_flight.session().handler().edge.metrics.events;
            tally.ended(events, outcome.code());
            answer(in_flight.session(), callback_id.as_ref(), outcome, &span);
        }
    });
}

/// Like [`drive`], for what needs no reply. The session's end does not end it, but a shutdown waits for it.
fn drive_aside(call: Call<'_>, mut work: Pin<Box<dyn Future<Output = Outcome>>>, span: Span) {
    if let Poll::Ready(outcome) = span.in_scope(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
        return answer_now(call, outcome.into(), &span);
    }
    let (session, tally) = (call.session, call.tally());
    let events = session.handler().edge.metrics.events.clone();
    let tracked = session.handler().edge.sessions.token();
    // Not the session, which would keep its socket open after the client is gone.
    let (client, tap) = (session.client().clone(), session.tap());
    session.spawn(async move {
        let outcome = work.instrument(span.clone()).await;
        tally.ended(&events, code_of(&outcome));
        if let Err(refusal) = outcome {
            failed(&span, refusal.code.as_str());
            not_handled(&client, tap.as_ref(), &refusal);
        }
        drop(tracked);
    });
}

/// Counts the outcome and sends the reply.
fn answer_now(call: Call<'_>, outcome: Relayed, span: &Span) {
    call.ended(outcome.code());
    answer(call.session, call.callback_id, outcome, span);
}

/// The code that the client gets.
pub(super) fn code_of(outcome: &Outcome) -> Option<&str> {
    outcome.as_ref().err().map(Refusal::written_code)
}

/// Sends the reply, if the client wants one, and tells the span of the event what it is.
fn answer(session: &Session, callback_id: Option<&CallbackId<'_>>, relayed: Relayed, span: &Span) {
    let Relayed { outcome, refused } = relayed;
    let refusal = outcome.as_ref().err();
    if let Some(code) = refused.or(refusal.map(|refusal| refusal.code.as_str())) {
        failed(span, code);
    }
    match (callback_id, outcome) {
        (Some(callback_id), Ok(json)) => session.send(Frame::new(frame::reply(callback_id, &json))),
        (Some(callback_id), Err(refusal)) => refuse(session, callback_id, &refusal),
        (None, Ok(_)) => {}
        (None, Err(refusal)) => not_handled(session.client(), session.tap().as_ref(), &refusal),
    }
}

fn not_handled(client: &ClientId, tap: Option<&ConnectionTap>, refusal: &Refusal) {
    if let Some(tap) = tap {
        tap.not_handled(refusal.written_code());
    }
    tracing::debug!(%client, code = %refusal.code, "an event was not handled");
}
