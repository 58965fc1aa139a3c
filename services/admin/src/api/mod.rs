//! The HTTP layer: routes, who may use them, and the limits of a request. Handlers ask the adapter and pass its answers to
//! `gather`, pass changes of the nodes to `jobs`, or make what a backend wants a command. Nothing is decided here.

mod address;
mod bodies;
mod body;
mod limits;
mod once;
mod origins;
mod trace;

mod batch;
mod callers;
mod clients;
mod jobs;
mod messages;
mod pages;
mod routes;
mod servers;

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use wsmesh_adapter::Adapter;

use crate::access::{self, Access, Caller, Right, guard};
use crate::audit::{self, Audit};
use crate::idempotency::Keys;
use crate::jobs::Jobs;
use crate::kubernetes::Kubernetes;
use crate::metrics::{self, HttpMetrics};
use crate::problem::Problem;
use bodies::Budget;
pub(crate) use limits::longest;
use limits::{MAX_ASKS, MAX_BATCH_BYTES, MAX_BATCHES, MAX_BODY_BYTES, MAX_REQUESTS, limit_requests, limit_time};
use pages::Login;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) adapter: Adapter,
    pub(crate) jobs: Jobs,
    /// Who may use the API.
    pub(crate) access: Access,
    /// Who changed what.
    pub(crate) audit: Audit,
    pub(crate) kubernetes: Option<Kubernetes>,
    /// Requests that may be repeated.
    pub(crate) keys: Keys,
    /// Time limit of a request, its body included. Longer than the wait for other servers.
    pub(crate) time_limit: Duration,
}

/// Everything that admin serves on its public port.
pub(crate) fn router(api: Api, metrics: HttpMetrics) -> Router {
    let is_open = api.access.is_open();
    let time_limit = api.time_limit;
    let know = middleware::from_fn_with_state(api.access.clone(), access::know);
    let record = middleware::from_fn_with_state(api.audit.clone(), audit::follow);
    let guarded = limit_requests(guarded(&api), MAX_REQUESTS).layer(record).layer(know);
    let login = if is_open { Login::Open } else { Login::Needed };
    let open = Router::new()
        .route("/openapi.json", get(pages::openapi))
        .merge(pages::router(login))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::wrong_method());
    let router = limit_time(open, time_limit).nest("/api/v1", guarded).with_state(api);
    // With a token, pages that do not know it are rejected anyway.
    let router = if is_open { origins::guard(router) } else { router };
    router
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn(trace::follow))
        .layer(middleware::from_fn_with_state(metrics, metrics::record))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        ))
}

/// The API, whose requests have a caller already.
fn guarded(api: &Api) -> Router<Api> {
    let time_limit = api.time_limit;
    let once = middleware::from_fn_with_state(api.clone(), once::once);
    // A request with a key runs on without its caller, so the time limits are inside. Its body is read by the layer of the keys:
    // what bounds bodies is outside, and batches are counted there once more. Who may not do it is told before that, so that no
    // answer to a repeat comes to another caller than the first.
    let group = |routes: Router<Api>, limit, right| guard(limit_time(routes, limit).layer(once.clone()), right);
    let asking = limit_requests(asking_routes(), MAX_ASKS);
    let batch = limit_requests(batch_routes(), MAX_BATCHES);
    let others = group(viewer_routes(), time_limit, Right::Read)
        .merge(group(publisher_routes(), time_limit, Right::Publish))
        .merge(group(client_routes(), time_limit, Right::Clients))
        .merge(group(operator_routes(), time_limit, Right::Operate))
        .merge(group(asking, longest(time_limit), Right::Publish));
    let batch = group(batch, longest(time_limit), Right::Publish);
    let bodies = Budget::default();
    let batch = bodies.limit(batch, MAX_BATCH_BYTES);
    bodies
        .limit(others, MAX_BODY_BYTES)
        .merge(limit_requests(batch, MAX_BATCHES))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::wrong_method())
}

/// What every caller may read.
fn viewer_routes() -> Router<Api> {
    // A client may be called as these paths end.
    let called = |id| get(async move |api: State<Api>, caller: Caller| routes::client_called(api, caller, id).await);
    Router::new()
        .route("/cluster", get(routes::cluster))
        .route("/nodes", get(routes::nodes))
        .route("/jobs", get(jobs::jobs))
        .route("/jobs/{id}", get(jobs::job))
        .route("/rooms", get(routes::rooms))
        .route("/rooms/{namespace}/{id}", get(routes::room))
        .route("/stats", get(routes::stats))
        .route("/clients/messages", called("messages"))
        .route("/clients/query", called("query").post(clients::query))
        .route("/clients/{id}", get(routes::client))
        .route("/caller", get(callers::caller))
}

/// Messages to clients, and what is attached to them.
fn publisher_routes() -> Router<Api> {
    Router::new()
        .route("/broadcast", post(messages::broadcast))
        .route("/rooms/{namespace}/{id}/messages", post(messages::to_room))
        .route("/clients/messages", post(messages::to_clients))
        .route("/clients/{id}/messages", post(messages::to_client))
        .route("/clients/{id}/data", get(clients::data))
}

/// Changes of clients and their rooms: for operators, and for publishers that may.
fn client_routes() -> Router<Api> {
    Router::new()
        .route("/rooms/{namespace}/{id}", delete(clients::close_room))
        .route("/clients/{id}/disconnect", post(clients::disconnect))
        .route(
            "/clients/{id}/data",
            put(clients::set_data).delete(clients::remove_data),
        )
        .route(
            "/clients/{id}/rooms/{namespace}/{room}",
            put(clients::join).delete(clients::leave),
        )
}

/// Changes of nodes and servers.
fn operator_routes() -> Router<Api> {
    Router::new()
        .route("/nodes", post(jobs::add_node))
        .route("/nodes/{id}", delete(jobs::remove_node))
        .route("/servers/{name}/drain", post(servers::drain))
        .route("/servers/{name}/resume", post(servers::resume))
        .route("/servers/{name}/rebalance", post(servers::rebalance))
}

/// For publishers that wait for clients.
fn asking_routes() -> Router<Api> {
    Router::new().route("/clients/{id}/requests", post(clients::ask))
}

/// For publishers with much to do.
fn batch_routes() -> Router<Api> {
    Router::new().route("/batch", post(batch::run))
}

/// Sets a header of every answer.
fn fixed(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
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
