//! What a client's frames mean: heartbeat, event, request or answer. Hands events and requests to `events`, which sends the
//! replies.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wsmesh_adapter::{Detached, Frame, Payload};
use wsmesh_protocol::frame::{self, ClientMessage};
use wsmesh_protocol::{CloseCode, ErrorCode};

use crate::client::{ClientState, ConnectionGuard, Session};
use crate::engine::{Control, Farewell, FrameHandler, Message, Onlooker, Outgoing, Verdict, Violation};
use crate::event_metrics::EventSeries;
use crate::events::{self, Call, Refusal, happenings, refuse};
use crate::handlers::{ClientFault, Wanted};
use crate::lifecycle::End;
use crate::limits::{Meter, Rate};
use crate::metrics::{Limited, Received};
use crate::watching::{Ended, Way};

impl FrameHandler for ClientState {
    type Guard = ConnectionGuard;

    /// As the client protocol has it, or as an echo (see [`crate::EdgeSettings::echo`]).
    fn message(session: &Session, message: Message) {
        let edge = &session.handler().edge;
        match message {
            Message::Text(echoed) if edge.settings.echo => session.send(Frame::new(echoed)),
            Message::Binary(bytes) if edge.settings.echo => session.send(Frame::binary(bytes)),
            message if edge.handlers.want(Wanted::Messages) => offer(session, message),
            message => match text_of(message) {
                Ok(meant) => text(session, &meant),
                Err(farewell) => not_text(session, &farewell),
            },
        }
    }

    fn control(session: &Session, control: Control) {
        let frames = &session.handler().edge.metrics.frames;
        match control {
            Control::Ping => frames.received(Received::Ping),
            Control::ExpectedPong(after) => {
                frames.received(Received::Pong);
                if let Some(tap) = session.tap() {
                    tap.ponged(after);
                }
                return happenings::ponged(session, after);
            }
            Control::UnexpectedPong => frames.received(Received::Pong),
            Control::EmptyFragment => {}
        }
        paced(session, "");
    }

    fn violation(session: &Session, violation: &Violation) {
        session.handler().edge.metrics.frames.received(Received::Invalid);
        happenings::fault(session, || ClientFault::Violation {
            code: violation.code.into(),
            reason: violation.reason,
        });
    }

    fn expires_at(&self) -> Option<Instant> {
        self.grant.borrow().expires
    }

    fn expired(&self) -> Farewell {
        self.edge.metrics.entry.auth_failed("expired");
        Farewell::new(CloseCode::AuthenticationFailed, "token expired")
    }

    fn is_watched(session: &Session) -> bool {
        let state = session.handler();
        // Reads no state of the adapter.
        let name = || state.edge.adapter.connection_name(session.connection());
        let tap = state.edge.watching.connection(session.client(), name);
        let is_watched = tap.is_some();
        state.tap.replace(tap.map(Box::new));
        is_watched
    }

    fn reachable(session: &Session) -> Option<Verdict> {
        let logins = &session.handler().edge.logins;
        let verdict = logins.enter(session.client(), session.connection())?;
        Some(Box::pin(async { verdict.await.map_err(Farewell::from) }))
    }

    fn opened(session: &Session) {
        happenings::opened(session);
    }

    fn detached(session: &Session, detached: Detached) {
        let edge = &session.handler().edge;
        let none = Arc::default();
        if let Some(tap) = session.tap() {
            tap.closed(&Ended {
                code: session.close_code(),
                reason: session.ending().map_or(&none, |ending| &ending.reason),
                lasted: session.lasted(),
            });
        }
        let Some(lifecycle) = &edge.lifecycle else { return };
        let end = End {
            code: session.close_code(),
            reason: session.ending().map_or(&none, |ending| &ending.reason),
            lasted: session.lasted(),
            was_last: detached.was_last,
        };
        // Reads no state of the adapter.
        let connection = edge.adapter.connection_name(session.connection());
        lifecycle.disconnected(session.client(), &connection, &end);
    }

    fn closed(session: Session) -> impl Future<Output = ()> {
        let (state, client) = (session.handler(), session.client().clone());
        let edge = Arc::clone(&state.edge);
        let told = happenings::closed(session);
        async move {
            edge.logins.left(&client);
            // Unless it has come back here meanwhile.
            if !edge.adapter.is_here(&client) {
                edge.wills.forget(&client);
                events::tell_closed(&edge, &client).await;
            }
            if let Some(told) = told {
                told.await;
            }
        }
    }
}

impl Onlooker for ClientState {
    fn outgoing(&self, what: Outgoing<'_>) {
        let tap = self.tap.borrow();
        let Some(tap) = &*tap else { return };
        match what {
            Outgoing::Written(frame, _) if *frame == self.edge.heartbeat => tap.heartbeat(Way::ToClient, frame.len()),
            Outgoing::Written(frame, waited) => tap.written(frame, waited, || self.edge.adapter.carrier(frame)),
            Outgoing::Blocked(waiting) => tap.slow(waiting),
            Outgoing::Spared(spared) => {
                tap.not_sent(spared.replaced, "a newer message replaced it");
                tap.not_sent(spared.dropped, "too much waits for the client");
            }
            Outgoing::Cleared(frames) => tap.not_sent(frames, "the client reads too slowly and is disconnected"),
        }
    }
}

/// The text of a message, also of a binary one: some libraries send all text so. The error is the close frame.
pub(crate) fn text_of(message: Message) -> Result<String, Farewell> {
    let not_text = |_| Farewell::new(CloseCode::UnsupportedData, "binary messages must be UTF-8 text");
    match message {
        Message::Text(text) => Ok(text),
        Message::Binary(bytes) => String::from_utf8(bytes).map_err(not_text),
    }
}

fn text(session: &Session, text: &str) {
    if paced(session, text) && !is_heartbeat(session, text) {
        meaning(session, text, session.mark_active());
    }
}

/// A message that handlers may handle before it is read.
fn offer(session: &Session, message: Message) {
    let text = match &message {
        Message::Text(text) => text,
        Message::Binary(_) => "",
    };
    let is_text = matches!(message, Message::Text(_));
    if !paced(session, text) || is_text && is_heartbeat(session, text) {
        return;
    }
    let arrived = session.mark_active();
    happenings::offer(session, message, arrived, |session, message, arrived| {
        match text_of(message) {
            Ok(text) if is_heartbeat(session, &text) => {}
            Ok(text) => meaning(session, &text, arrived),
            Err(farewell) => not_text(session, &farewell),
        }
    });
}

fn not_text(session: &Session, farewell: &Farewell) {
    session.handler().edge.metrics.frames.received(Received::Invalid);
    session.close(farewell);
}

/// Sends a heartbeat back; `false` if it is none.
fn is_heartbeat(session: &Session, text: &str) -> bool {
    let edge = &session.handler().edge;
    let is_one = text == edge.heartbeat.as_str();
    if is_one {
        edge.metrics.frames.received(Received::Heartbeat);
        if let Some(tap) = session.tap() {
            tap.heartbeat(Way::FromClient, text.len());
        }
        session.send(edge.heartbeat.clone());
    }
    is_one
}

/// Time limits begin when the message came, not when its turn came.
fn meaning(session: &Session, text: &str, now: Instant) {
    let edge = &session.handler().edge;
    let read = frame::parse(text);
    if let Some(tap) = session.tap() {
        tap.received(text, &read, now.elapsed());
    }
    match read {
        Ok(ClientMessage::Event {
            event,
            payload,
            traceparent,
            is_unanswerable,
        }) => {
            edge.metrics.frames.received(Received::Event);
            let call = Call::new(session, payload, now, None);
            events::handle(call, &event, traceparent.as_deref());
            if is_unanswerable {
                session.send(Frame::new(frame::unanswerable()));
            }
        }
        Ok(ClientMessage::Request {
            event,
            payload,
            callback_id,
            timeout,
            idempotency_key,
            traceparent,
        }) => {
            edge.metrics.frames.received(Received::Request);
            let call = Call {
                callback_id: Some(&callback_id),
                key: idempotency_key.as_deref(),
                ..Call::new(session, payload, now, timeout)
            };
            events::handle(call, &event, traceparent.as_deref());
        }
        Ok(ClientMessage::Answer { payload, request_id }) => {
            edge.metrics.frames.received(Received::Answer);
            let payload = Payload::from_json(Bytes::copy_from_slice(payload.get().as_bytes()));
            if !session.answered(&request_id, payload) {
                tracing::debug!(client = %session.client(), "a client sent an answer that nobody waits for");
            }
        }
        Err(error) => {
            edge.metrics.frames.received(Received::Invalid);
            tracing::debug!(client = %session.client(), %error, "a client sent a frame that cannot be read");
            happenings::fault(session, || ClientFault::BadFrame {
                reason: error.to_string(),
            });
            if let Some(callback_id) = error.callback_id() {
                let code = ErrorCode::BadFrame.as_str();
                edge.metrics.events.ended(EventSeries::OTHER, None, Some(code));
                let refusal = Refusal::new(ErrorCode::BadFrame, error.to_string());
                refuse(session, callback_id, &refusal);
            }
        }
    }
}

/// Counts one frame of a client; `false` if it is one too many, which is dealt with here.
fn paced(session: &Session, text: &str) -> bool {
    let state = session.handler();
    match state.edge.pace {
        Some(rate) if !within(&state.pace, rate, state.edge.now()) => {
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

/// A request is answered with an error, anything else is dropped; a client that does not stop is closed.
fn too_fast(session: &Session, rate: Rate, text: &str) {
    let edge = &session.handler().edge;
    if !within(&session.handler().patience, rate, edge.now()) {
        edge.metrics.frames.limited(Limited::Flood);
        tracing::debug!(client = %session.client(), "closing a client that sends too fast");
        let delay_ms = rand::random_range(1..=edge.settings.reconnect_spread.as_millis().max(1) as u64);
        let reason = CloseCode::RateLimit.reason_with_delay(delay_ms);
        return session.close(&Farewell::new(CloseCode::RateLimit, reason));
    }
    edge.metrics.frames.limited(Limited::Events);
    if let Some(tap) = session.tap() {
        tap.not_handled(ErrorCode::RateLimited.as_str());
    }
    match frame::parse(text) {
        Ok(ClientMessage::Request { event, callback_id, .. }) => {
            events::rejected(edge, &event, ErrorCode::RateLimited);
            let refusal = Refusal::new(
                ErrorCode::RateLimited,
                "too many messages: send fewer, and this one again later",
            );
            refuse(session, &callback_id, &refusal);
        }
        Ok(ClientMessage::Event { event, .. }) => events::rejected(edge, &event, ErrorCode::RateLimited),
        _ => {}
    }
}
