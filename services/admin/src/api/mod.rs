//! The HTTP layer: routes, who may use them, and the limits of a request. Handlers ask the adapter and pass its answers to
//! `gather`, or pass changes of the nodes to `jobs`. Nothing is decided here.

mod body;
mod jobs;
mod origins;
mod pages;
mod routes;
mod servers;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{BoxError, Router};
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;
use tower::ServiceBuilder;
use tower::timeout::TimeoutLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use wsmesh_adapter::Adapter;

use crate::jobs::Jobs;
use crate::kubernetes::Kubernetes;
use crate::metrics::{self, HttpMetrics};
use crate::problem::Problem;
use crate::token::Token;

/// Largest body of a request: enough for a large payload and thousands of client ids.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) adapter: Adapter,
    pub(crate) jobs: Jobs,
    /// `None`: everyone who reaches the port may use the API (demo profile only).
    pub(crate) token: Option<Arc<Token>>,
    pub(crate) kubernetes: Option<Kubernetes>,
    /// Time limit of a request, its body included. Longer than the wait for other servers.
    pub(crate) time_limit: Duration,
}

/// Everything that admin serves on its public port.
pub(crate) fn router(api: Api, metrics: HttpMetrics) -> Router {
    let time_limit = api.time_limit;
    let is_open = api.token.is_none();
    let guarded = Router::new()
        .route("/cluster", get(routes::cluster))
        .route("/nodes", get(routes::nodes).post(jobs::add_node))
        .route("/nodes/{id}", delete(jobs::remove_node))
        .route("/servers/{name}/drain", post(servers::drain))
        .route("/servers/{name}/resume", post(servers::resume))
        .route("/servers/{name}/rebalance", post(servers::rebalance))
        .route("/jobs", get(jobs::jobs))
        .route("/jobs/{id}", get(jobs::job))
        .route("/rooms", get(routes::rooms))
        .route("/rooms/{namespace}/{id}", get(routes::room))
        .route("/clients/{id}", get(routes::client))
        .route("/stats", get(routes::stats))
        .route("/broadcast", post(routes::broadcast))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .layer(middleware::from_fn_with_state(api.clone(), require_token));
    let open = Router::new()
        .route("/", get(pages::index))
        .route("/style.css", get(pages::style))
        .route("/openapi.json", get(pages::openapi))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::wrong_method());
    let router = open.nest("/api/v1", guarded).with_state(api);
    // With a token, pages that do not know it are rejected anyway.
    let router = if is_open { origins::guard(router) } else { router };
    limit_time(router.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)), time_limit)
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn_with_state(metrics, metrics::record))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ))
}

/// Sets a header of every answer.
fn fixed(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// Middleware: without the right token the API tells nothing, not even whether a path exists.
async fn require_token(
    State(api): State<Api>,
    given: Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &api.token else {
        return next.run(request).await;
    };
    let (challenge, detail) = match given {
        Ok(given) if token.matches(given.token()) => return next.run(request).await,
        Ok(_) => (
            "Bearer realm=\"wsmesh\", error=\"invalid_token\"",
            "the token is not the one of this API",
        ),
        Err(_) => (
            "Bearer realm=\"wsmesh\"",
            "send the API's token in the header authorization: Bearer TOKEN",
        ),
    };
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// A request ends in time, even if its body never does.
fn limit_time(router: Router, limit: Duration) -> Router {
    let overdue = async move |_: BoxError| {
        let detail = format!("the request did not end within {} seconds; try again", limit.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    };
    let limited = ServiceBuilder::new().layer(HandleErrorLayer::new(overdue));
    router.layer(limited.layer(TimeoutLayer::new(limit)))
}

/// A panic ends its own request only. Its text may hold anything, so it goes to the log and not to the caller.
fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    tracing::error!(panic = text, "a request ended in a panic: this is a bug");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal error in admin; see its log",
    )
    .into_response()
}

#[cfg(test)]
mod tests;
