//! The spans of the edge. Names come from bounded sets; a client cannot choose any part of them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::remote_context;

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

/// The upgrade's context, if it is sampled: the spans of the connection's frames link to it.
pub(crate) fn link_target(upgrade: &Span) -> Option<Box<SpanContext>> {
    if upgrade.is_disabled() {
        return None;
    }
    let context = upgrade.context().span().span_context().clone();
    context.is_sampled().then(|| Box::new(context))
}

/// The span of one received frame, for an event of the table. `traceparent` is trusted.
pub(crate) fn receive_span(event: &str, traceparent: Option<&str>, upgrade: Option<&SpanContext>) -> Span {
    let span =
        tracing::info_span!("ws.receive", otel.name = %format_args!("ws.receive {event}"), otel.kind = "internal");
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = traceparent.and_then(|text| remote_context(text, None)) {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    if let Some(upgrade) = upgrade {
        span.add_link(upgrade.clone());
    }
    span
}
