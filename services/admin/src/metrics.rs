//! Metrics of the API. Labels are bounded: routes by their pattern, methods by a list, never ids.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{HistogramOpts, IntCounterVec, Registry, register_int_counter_vec_with_registry};
use wsmesh_adapter::exemplars::{self, TracedHistogramVec};

/// Requests answered, by route pattern, method and status.
pub const REQUESTS: &str = "wsmesh_http_requests_total";
/// Time from the request's head to the answer's head, by route pattern and method.
pub const REQUEST_DURATION: &str = "wsmesh_http_request_duration_seconds";

/// The label of a path without a route.
const NO_ROUTE: &str = "none";

/// Metrics of the HTTP API.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    duration: TracedHistogramVec,
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: register_int_counter_vec_with_registry!(
                REQUESTS,
                "Requests to the admin API that were answered.",
                &["route", "method", "status"],
                registry
            )?,
            duration: exemplars::histograms(
                HistogramOpts::new(REQUEST_DURATION, "Time to answer a request to the admin API."),
                &["route", "method"],
                registry,
            )?,
        })
    }
}

/// Middleware: counts and times each request.
pub(crate) async fn record(
    State(metrics): State<HttpMetrics>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = method_label(request.method());
    let begin = Instant::now();
    let response = next.run(request).await;
    let route = route_label(route.as_ref());
    metrics
        .duration
        .with_label_values(&[route, method])
        .observe(begin.elapsed().as_secs_f64());
    metrics
        .requests
        .with_label_values(&[route, method, response.status().as_str()])
        .inc();
    response
}

/// A route as a label, and as a span's name. A pattern with a wildcard is the router's fallback and not a route.
pub(crate) fn route_label(route: Option<&MatchedPath>) -> &str {
    match route.map(MatchedPath::as_str) {
        Some(pattern) if !pattern.contains('*') => pattern,
        _ => NO_ROUTE,
    }
}

/// HTTP allows any word as a method; the values of a label are bounded.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
