//! One event of one client, as its handlers get it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::trace::{SpanContext, TraceId};
use serde_json::value::RawValue;
use tracing::Span;
use wsmesh_adapter::{Frame, recorded};
use wsmesh_bootstrap::LONGEST_DURATION;
use wsmesh_protocol::{CallbackId, ErrorCode, frame};

use super::refusal::Refusal;
use crate::client::Session;
use crate::edge::Edge;
use crate::event_metrics::{Asked, EventMetrics, EventSeries};

/// The reply `{"ok":true}`.
pub(super) const OK: Bytes = Bytes::from_static(br#"{"ok":true}"#);

/// One event of one client.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) session: &'a Session,
    pub(crate) payload: &'a RawValue,
    /// The id that its reply must carry, if it wants one.
    pub(crate) callback_id: Option<&'a CallbackId<'a>>,
    pub(crate) received_at: Instant,
    /// When it is too late for a reply: the time of the client or that of the event's route is over.
    pub(crate) deadline: Instant,
    /// What the client repeats its request by, if it does: the request is to be carried out once.
    pub(crate) key: Option<&'a str>,
    /// Counts what comes of it.
    pub(crate) series: EventSeries,
    /// The trace of a request, if it is sampled.
    pub(crate) trace: Option<TraceId>,
}

/// Counts what comes of an event.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    series: EventSeries,
    asked: Option<Asked>,
}

impl Tally {
    /// The event was handled, or refused with this code. Of a request, the reply goes out now.
    pub(super) fn ended(self, metrics: &EventMetrics, error: Option<&str>) {
        metrics.ended(self.series, self.asked, error);
    }
}

impl<'a> Call<'a> {
    /// An event that came now, for whose reply the client waits this long at most, if it said so.
    pub(crate) fn new(
        session: &'a Session,
        payload: &'a RawValue,
        received_at: Instant,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            session,
            payload,
            callback_id: None,
            received_at,
            deadline: received_at + timeout.unwrap_or(LONGEST_DURATION),
            key: None,
            series: EventSeries::OTHER,
            trace: None,
        }
    }

    /// The same call, counted by these series.
    pub(super) fn counted_by(self, series: EventSeries) -> Self {
        Self { series, ..self }
    }

    /// The same call, as a part of this span.
    pub(super) fn traced(self, span: &Span) -> Self {
        if self.callback_id.is_none() {
            return self;
        }
        let sampled = recorded(span).filter(SpanContext::is_sampled);
        let trace = sampled.map(|context| context.trace_id());
        Self { trace, ..self }
    }

    /// What counts it later.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            series: self.series,
            asked: self.asked(),
        }
    }

    /// It was handled, or refused with this code.
    pub(super) fn ended(&self, error: Option<&str>) {
        self.tally().ended(&self.edge().metrics.events, error);
    }

    fn asked(&self) -> Option<Asked> {
        self.callback_id.map(|_| Asked {
            at: self.received_at,
            trace: self.trace,
        })
    }

    /// The same call, for which this route takes no longer than this.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.deadline = self.deadline.min(self.received_at + limit);
        self
    }

    /// How much time is left.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(super) fn edge(&self) -> &'a Arc<Edge> {
        &self.session.handler().edge
    }

    /// Answers with an error, if the client wants a reply.
    pub(super) fn refuse(&self, code: ErrorCode, text: &'static str) {
        self.ended(Some(code.as_str()));
        match self.callback_id {
            Some(callback_id) => refuse(self.session, callback_id, &Refusal::new(code, text)),
            None => not_handled(self.session, code),
        }
    }
}

/// An event that wants no reply is not handled: who watches the client is told.
fn not_handled(session: &Session, code: ErrorCode) {
    if let Some(tap) = session.tap() {
        tap.not_handled(code.as_str());
    }
}

/// Answers a request with an error.
pub(crate) fn refuse(session: &Session, callback_id: &CallbackId<'_>, refusal: &Refusal) {
    let refused = &session.handler().edge.metrics.frames.refused_requests;
    refused.count(refusal.written_code());
    session.send(Frame::new(frame::error_reply_with(
        callback_id,
        refusal.written_code(),
        &refusal.text,
    )));
}
