//! What a client's text frames mean: heartbeat, event, request or answer. Hands events to their route and sends the reply.
//!
//! A request never blocks the frames behind it: what does not answer at once goes on beside them, and how many of
//! those a client may have is bounded. Every request is answered, if only with an error.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::value::RawValue;
use tracing::{Instrument, Span};
use wsmesh_adapter::{ClientId, Frame, Payload};
use wsmesh_protocol::frame::{self, ClientMessage};
use wsmesh_protocol::{CallbackId, CloseCode, ErrorCode};

use crate::edge::Edge;
use crate::engine::{Farewell, Message, Session};
use crate::events::{Call, Outcome, Refusal, Work};
use crate::limits::{Meter, Rate};
use crate::metrics::{Denied, Limited, Received};
use crate::trace;

/// Requests of one client that may wait for their reply at once.
const REQUESTS_IN_FLIGHT: u32 = 64;

/// Close reason for a client that sends binary messages that are not text.
pub(crate) const NOT_TEXT: &str = "binary messages must be UTF-8 text";

/// Handles one message: as the client protocol has it, or echoes it (see [`crate::EdgeSettings::echo`]).
pub(crate) fn message(session: &Session, message: Message) {
    match message {
        Message::Text(echoed) if session.edge().settings.echo => session.send(Frame::new(echoed)),
        Message::Text(meant) => text(session, &meant),
        Message::Binary(bytes) if session.edge().settings.echo => session.send(Frame::binary(bytes)),
        // Libraries that know no other kind send text so, too.
        Message::Binary(bytes) => match String::from_utf8(bytes) {
            Ok(meant) => text(session, &meant),
            Err(_) => {
                session.edge().metrics.received(Received::Invalid);
                session.close(&Farewell::new(CloseCode::UnsupportedData, NOT_TEXT));
            }
        },
    }
}

fn text(session: &Session, text: &str) {
    let edge = session.edge();
    if !paced(session, text) {
        return;
    }
    if text == edge.heartbeat.as_str() {
        edge.metrics.received(Received::Heartbeat);
        return session.send(edge.heartbeat.clone());
    }
    session.link.active_at.set(Instant::now());
    match frame::parse(text) {
        Ok(ClientMessage::Event {
            event,
            payload,
            traceparent,
            is_unanswerable,
        }) => {
            edge.metrics.received(Received::Event);
            handle(session, &event, payload, None, traceparent.as_deref());
            if is_unanswerable {
                session.send(Frame::new(frame::unanswerable()));
            }
        }
        Ok(ClientMessage::Request {
            event,
            payload,
            callback_id,
            traceparent,
        }) => {
            edge.metrics.received(Received::Request);
            handle(session, &event, payload, Some(&callback_id), traceparent.as_deref());
        }
        Ok(ClientMessage::Answer { payload, request_id }) => {
            edge.metrics.received(Received::Answer);
            let payload = Payload::from_json(Bytes::copy_from_slice(payload.get().as_bytes()));
            if !session.answered(&request_id, payload) {
                tracing::debug!(client = %session.link.client, "an answer that nobody waits for");
            }
        }
        Err(error) => {
            edge.metrics.received(Received::Invalid);
            tracing::debug!(client = %session.link.client, %error, "a frame that cannot be used");
            if let Some(callback_id) = error.callback_id() {
                refuse(
                    session,
                    callback_id,
                    &Refusal::new(ErrorCode::BadFrame, error.to_string()),
                );
            }
        }
    }
}

/// Counts one frame of a client; `false` if it is one too many, which is dealt with here.
pub(crate) fn paced(session: &Session, text: &str) -> bool {
    let edge = session.edge();
    match edge.pace {
        Some(rate) if !within(&session.link.pace, rate, edge.now()) => {
            too_fast(session, rate, text);
            false
        }
        _ => true,
    }
}

fn within(meter: &Cell<Meter>, rate: Rate, now: Duration) -> bool {
    let mut one = meter.get();
    let allowed = one.take(rate, now);
    meter.set(one);
    allowed
}

/// A request is answered with an error, anything else is dropped; who goes on is closed.
fn too_fast(session: &Session, rate: Rate, text: &str) {
    let edge = session.edge();
    if !within(&session.link.patience, rate, edge.now()) {
        edge.metrics.limited(Limited::Flood);
        tracing::debug!(client = %session.link.client, "closing a client that sends too fast");
        let delay_ms = rand::random_range(1..=edge.settings.reconnect_spread.as_millis().max(1) as u64);
        let reason = CloseCode::RateLimit.reason_with_delay(delay_ms);
        return session.close(&Farewell::new(CloseCode::RateLimit, reason));
    }
    edge.metrics.limited(Limited::Events);
    if let Ok(ClientMessage::Request { callback_id, .. }) = frame::parse(text) {
        let refusal = Refusal::new(
            ErrorCode::RateLimited,
            "too many messages: send fewer, and this one again later",
        );
        refuse(session, &callback_id, &refusal);
    }
}

/// Tells the services that know of clients that this one is gone, unless it has come back here meanwhile.
pub(crate) async fn closed(edge: &Arc<Edge>, client: ClientId) {
    if !edge.adapter.is_here(&client) {
        edge.wills.forget(&client);
        edge.routes.tell_closed(&edge.adapter, &client).await;
    }
}

fn handle(
    session: &Session,
    event: &str,
    payload: &RawValue,
    callback_id: Option<&CallbackId<'_>>,
    traceparent: Option<&str>,
) {
    let edge = session.edge();
    let found = edge.routes.find(event);
    if !found.is_some_and(|(_, route)| route.is_own()) && !session.link.grant.borrow().allows_event(event) {
        edge.metrics.denied(Denied::Event);
        if let Some(callback_id) = callback_id {
            let refusal = Refusal::new(ErrorCode::NotAllowed, "the token does not allow this event");
            refuse(session, callback_id, &refusal);
        }
        return;
    }
    let Some((name, route)) = found else {
        edge.metrics.received(Received::Unknown);
        tracing::debug!(client = %session.link.client, "an event that nobody handles");
        if let Some(callback_id) = callback_id {
            refuse(
                session,
                callback_id,
                &Refusal::new(ErrorCode::UnknownEvent, "nobody handles this event"),
            );
        }
        return;
    };
    if let Some(callback_id) = callback_id
        && session.count_requests(0) >= REQUESTS_IN_FLIGHT
    {
        return refuse(
            session,
            callback_id,
            &Refusal::new(ErrorCode::Overloaded, "too many requests are waiting"),
        );
    }
    let trusted = traceparent.filter(|_| edge.settings.trust_client_traces);
    let span = trace::receive_span(name, trusted, session.link.upgrade.as_deref());
    let call = Call {
        session,
        payload,
        callback_id,
    };
    match span.in_scope(|| route.start(call)) {
        Work::Done(outcome) => finish(session, callback_id, Some(outcome)),
        Work::Later(work) => drive(session, callback_id, work, Some, span),
        // Whoever took it answers the client; only what nobody took is answered here.
        Work::Handed(work) => drive(session, callback_id, work, |handed| handed.err().map(Err), span),
    }
}

/// Polls the work once, so that frames take effect in the order they came; what is not done then goes on.
/// `outcome_of` says what the client is told of its result.
fn drive<T: 'static>(
    session: &Session,
    callback_id: Option<&CallbackId<'_>>,
    mut work: Pin<Box<dyn Future<Output = T>>>,
    outcome_of: fn(T) -> Option<Outcome>,
    span: Span,
) {
    if let Poll::Ready(result) = span.in_scope(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
        return finish(session, callback_id, outcome_of(result));
    }
    let callback_id = callback_id.cloned().map(CallbackId::into_owned);
    let in_flight = InFlight::new(session.clone(), callback_id.is_some());
    session.go_on(async move {
        let result = work.instrument(span).await;
        finish(&in_flight.session, callback_id.as_ref(), outcome_of(result));
    });
}

/// Counts one piece of work as long as it lives.
struct InFlight {
    session: Session,
    is_request: bool,
}

impl InFlight {
    fn new(session: Session, is_request: bool) -> Self {
        let in_flight = Self { session, is_request };
        in_flight.count(1);
        in_flight
    }

    fn count(&self, change: i32) -> u32 {
        if self.is_request {
            self.session.count_requests(change)
        } else {
            self.session.count_events(change)
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.count(-1);
    }
}

/// Sends the reply, if this is where it comes from.
fn finish(session: &Session, callback_id: Option<&CallbackId<'_>>, outcome: Option<Outcome>) {
    let Some(outcome) = outcome else { return };
    match (callback_id, outcome) {
        (Some(callback_id), Ok(json)) => session.send(Frame::new(frame::reply(callback_id, &json))),
        (Some(callback_id), Err(refusal)) => refuse(session, callback_id, &refusal),
        (None, Ok(_)) => {}
        (None, Err(refusal)) => {
            tracing::debug!(client = %session.link.client, code = %refusal.code, "an event was not handled");
        }
    }
}

fn refuse(session: &Session, callback_id: &CallbackId<'_>, refusal: &Refusal) {
    session.edge().metrics.refused_requests.inc();
    session.send(Frame::new(frame::error_reply(callback_id, refusal.code, &refusal.text)));
}
