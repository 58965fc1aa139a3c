//! The span of a request, child of the caller's if it sends one (W3C `traceparent` and `tracestate`). Messages that the request
//! sends continue the trace. Names come from bounded sets, never from what a caller sends.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::remote_context;

use crate::metrics::{method_label, route_label};

/// Middleware: runs a request in its span.
pub(super) async fn follow(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let method = method_label(request.method());
    let route = route_label(route.as_ref());
    let span = tracing::info_span!(
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        continue_trace(&span, request.headers());
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    response
}

fn continue_trace(span: &Span, headers: &HeaderMap) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(parent) = text("traceparent").and_then(|parent| remote_context(parent, text("tracestate"))) {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}
