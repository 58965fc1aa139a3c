//! The spans of the edge. Names come from bounded sets; a client cannot choose any part of them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{ServerName, failed, recorded, remote_context};
use wsmesh_bootstrap::begins_trace;

/// An event that nothing here handles.
pub(crate) const OTHER: &str = "other";

/// The span of one upgrade by `server`, which ends at the answer.
pub(crate) fn upgrade_span(server: &ServerName) -> Span {
    tracing::info_span!(
        "upgrade",
        otel.name = "GET /{*path}",
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/{*path}",
        http.response.status_code = tracing::field::Empty,
        wsmesh.server = server.as_str(),
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
    /// The server that receives it: several in one process have one resource.
    pub(crate) server: &'a ServerName,
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
    let parent = receiving.trusted.and_then(|text| remote_context(text, None));
    let span = if receiving.is_request || parent.is_some() {
        tracing::info_span!(
            "ws.receive",
            otel.kind = "internal",
            wsmesh.request = receiving.is_request.then_some(true),
        )
    } else if begins_trace() {
        tracing::info_span!("ws.receive", otel.kind = "internal", wsmesh.message = true)
    } else {
        Span::none()
    };
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = parent {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    if let Some(upgrade) = receiving.upgrade {
        span.add_link(upgrade.clone());
    }
    // The sampler decides here, by the parent and by whether it is a request. Most spans of other events are not recorded.
    if recorded(&span).is_some() {
        let event = receiving.event;
        // The field `otel.name` is not looked at any more once the sampler has decided.
        span.context().span().update_name(format!("ws.receive {event}"));
        span.set_attribute("wsmesh.event", event.to_owned());
        span.set_attribute("wsmesh.server", receiving.server.as_str().to_owned());
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
