//! The spans of the edge. Names come from bounded sets; a client cannot choose any part of them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{Payload, Refusal, failed, recorded, remote_context};
use wsmesh_protocol::ErrorCode;

/// An event that nothing here handles.
pub(crate) const OTHER: &str = "other";

/// The span of one upgrade, which ends at the answer.
pub(crate) fn upgrade_span() -> Span {
    tracing::info_span!(
        "upgrade",
        otel.name = "GET /{*path}",
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/{*path}",
        http.response.status_code = tracing::field::Empty,
    )
}

/// The upgrade was answered so. `why` is from a bounded set. Only what the server could not do is an error of the span; the rest are
/// mistakes of clients.
pub(crate) fn upgrade_rejected(span: &Span, status: u16, why: &'static str) {
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        failed(span, why);
    }
}

/// The upgrade's context, if it is sampled: the spans of the connection's frames link to it.
pub(crate) fn link_target(upgrade: &Span) -> Option<Box<SpanContext>> {
    recorded(upgrade).filter(SpanContext::is_sampled).map(Box::new)
}

/// What a received frame is about, as its span shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiving<'a> {
    /// A name of the table of events, or [`OTHER`].
    pub(crate) event: &'a str,
    /// Whether the frame's trace may be kept though the sampler did not choose it: of a request that was taken on. What is turned
    /// away at the door is not worth it, and clients could fill the buffers with it.
    pub(crate) is_request: bool,
    /// The trace context of the frame, if clients are trusted with that.
    pub(crate) trusted: Option<&'a str>,
    pub(crate) upgrade: Option<&'a SpanContext>,
}

/// The span of one received frame. That of a request lasts until its reply is sent, or, if a service replies to the client itself,
/// until the service has it.
pub(crate) fn receive_span(receiving: Receiving<'_>) -> Span {
    let event = receiving.event;
    let span = tracing::info_span!(
        "ws.receive",
        otel.name = %format_args!("ws.receive {event}"),
        otel.kind = "internal",
        wsmesh.event = event,
        wsmesh.request = receiving.is_request.then_some(true),
    );
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = receiving.trusted.and_then(|text| remote_context(text, None)) {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    if let Some(upgrade) = receiving.upgrade {
        span.add_link(upgrade.clone());
    }
    span
}

/// The span of telling a watch what happened: below the span in which the first of it happened, with links to the others. Disabled if
/// none of these is sampled.
pub(crate) fn telling_span<'a>(mut happened: impl Iterator<Item = &'a SpanContext>) -> Span {
    let Some(first) = happened.next() else {
        return Span::none();
    };
    let span = tracing::info_span!(parent: None, "tell", otel.name = "tell watch", otel.kind = "internal");
    happened.for_each(|other| span.add_link(other.clone()));
    // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
    let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(first.clone()));
    span
}

/// An event was answered with this payload. That of a service may be a refusal.
pub(crate) fn replied(span: &Span, json: &bytes::Bytes) {
    if recorded(span).is_some()
        && let Some(refusal) = Refusal::of(&Payload::from_json(json.clone()))
    {
        failed(span, shown(&refusal.code));
    }
}

/// The code of a refusal as spans show it: one of the protocol's, or `other` for those of applications.
pub(crate) fn shown(code: &str) -> &'static str {
    let known = ErrorCode::ALL.into_iter().find(|known| known.as_str() == code);
    known.map_or(OTHER, ErrorCode::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_the_protocol_are_shown_in_spans() {
        assert_eq!(shown("TIMEOUT"), "TIMEOUT");
        for other in ["", "SOLD_OUT", "timeout", "ann@example.org"] {
            assert_eq!(shown(other), OTHER, "{other}");
        }
    }
}
