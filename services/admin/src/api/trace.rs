//! The span of a request, child of the caller's if it sends one (W3C `traceparent` and `tracestate`). Messages that the request
//! sends continue the trace. Names come from bounded sets, never from what a caller sends.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Response};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{MakeSpan, OnResponse, TraceLayer};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{failed, remote_context};

use crate::metrics::{method_label, route_label};

/// The layer that runs each request in its span. It logs nothing: failures are logged where they are handled.
pub(super) type Layer = TraceLayer<SharedClassifier<ServerErrorsAsFailures>, OfRequest, (), WithStatus, (), (), ()>;

/// Makes the span.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfRequest;

/// Adds the status of the answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct WithStatus;

/// Runs each request in its span.
pub(super) fn layer() -> Layer {
    TraceLayer::new_for_http()
        .make_span_with(OfRequest)
        .on_request(())
        .on_response(WithStatus)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

impl<B> MakeSpan<B> for OfRequest {
    fn make_span(&mut self, request: &Request<B>) -> Span {
        let method = method_label(request.method());
        let route = route_label(request.extensions().get::<MatchedPath>());
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
        span
    }
}

impl<B> OnResponse<B> for WithStatus {
    fn on_response(self, response: &Response<B>, _: Duration, span: &Span) {
        let status = response.status();
        span.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            failed(span, status.as_str().to_owned());
        }
    }
}

fn continue_trace(span: &Span, headers: &HeaderMap) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(parent) = text("traceparent").and_then(|parent| remote_context(parent, text("tracestate"))) {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}
