//! The spans of calls to backends, and the trace context that goes with a call (W3C `traceparent`, `tracestate`).

use hyper::header::HeaderMap;
use hyper::{StatusCode, Uri};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::event::put;

/// The span of one call, child of the current span; disabled when that is not sampled.
pub(super) fn call_span(label: &str, uri: &Uri) -> Span {
    if !context(&Span::current()).is_some_and(|context| context.is_sampled()) {
        return Span::none();
    }
    tracing::info_span!(
        "backend",
        otel.name = format!("POST {label}"),
        otel.kind = "client",
        http.request.method = "POST",
        server.address = uri.host(),
        server.port = uri.port_u16(),
        http.response.status_code = Empty,
        error.r#type = Empty,
    )
}

/// Writes the context of a span into headers; that of the current span if it is disabled.
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    let Some(context) = context(span).or_else(|| context(&Span::current())) else {
        return;
    };
    let (trace, parent, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
    put(headers, "traceparent", &format!("00-{trace}-{parent}-{flags:02x}"));
    let state = context.trace_state().header();
    // Its own grammar, with spaces; what came in badly was not taken.
    if let Ok(state) = state.parse()
        && !context.trace_state().header().is_empty()
    {
        headers.insert("tracestate", state);
    }
}

/// The call ended so: with a status, or for a reason from a bounded set.
pub(super) fn ended(span: &Span, status: Option<StatusCode>, result: &'static str) {
    match status {
        Some(status) => {
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("error.type", status.as_str());
            }
        }
        None => {
            span.record("error.type", result);
        }
    }
}

fn context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}
