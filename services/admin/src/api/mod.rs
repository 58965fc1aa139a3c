//! The HTTP layer: routes, who may use them, and the limits of a request. Handlers ask the adapter and pass its answers to
//! `gather`, pass changes of the nodes to `jobs`, or make what a backend wants a command. Nothing is decided here.
//!
//! A route is a handler with `#[utoipa::path(…)]` beside it, in the list of the role that it needs below: `routes!(handler)`. The
//! first line of its doc comment is the summary. `/openapi.json` is made from these, so a handler
//! - names its `operation_id`, its `tag`, its path parameters and what it answers; of problems only those that tell more than their
//!   status (`(status = 404, description = "…")`): `document` adds the others, and the form of all of them;
//! - reads a path with the extractors of `address`, a query with [`query::Params`] (any other parameter is rejected before), a body with
//!   those of `body`; each of them rejects with a [`Problem`];
//! - answers with a type that derives `ToSchema`. Types of other crates: `#[schema(value_type = …)]`, with `String`, or with what
//!   `shapes` has for it. Gathered answers are an [`Answer`](crate::gather::Answer) under an alias, as `type Rooms = Answer<RoomsView>`;
//! - pages a list with [`Page`](crate::gather::Page) and answers the [`Cursor`](crate::gather::Cursor) of the next page as `next`.

mod address;
mod answers;
mod bodies;
mod body;
mod docs;
mod document;
mod limits;
mod once;
mod origins;
mod query;
mod seats;
mod trace;

mod assign;
mod batch;
mod callers;
mod clients;
mod jobs;
mod live;
mod log_level;
mod messages;
mod pages;
mod preflight;
mod progress;
mod records;
mod routes;
mod scale;
mod servers;
mod stats;
mod watch;

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wsmesh_adapter::Adapter;

use crate::access::{self, Access, Caller, Right, guard, guard_streams};
use crate::audit::{self, Audit};
use crate::idempotency::Keys;
use crate::jobs::Jobs;
use crate::metrics::{self, HttpMetrics};
use crate::problem::Problem;
use crate::scaler::Scaler;
use crate::statistics::Statistics;
use crate::watching::Watching;
use bodies::Budget;
pub(crate) use limits::longest;
use limits::{
    MAX_ASKS, MAX_BATCH_BYTES, MAX_BATCHES, MAX_BODY_BYTES, MAX_REQUESTS, checking, limit_requests, limit_time,
};
use pages::Login;
pub(crate) use seats::Seats;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) adapter: Adapter,
    pub(crate) jobs: Jobs,
    /// What scales the StatefulSet of the Redis nodes; none if there is no such thing.
    pub(crate) scaler: Option<Scaler>,
    /// Who may use the API.
    pub(crate) access: Access,
    /// Who changed what.
    pub(crate) audit: Audit,
    /// Requests that may be repeated.
    pub(crate) keys: Keys,
    /// Time limit of a request, its body included. Longer than the wait for other servers.
    pub(crate) time_limit: Duration,
    pub(crate) statistics: Statistics,
    /// Clients that are watched.
    pub(crate) watching: Watching,
    /// Places for streams.
    pub(crate) seats: Seats,
}

/// Everything that admin serves on its public port, behind a prefix if there is one.
pub(crate) fn router(api: Api, metrics: HttpMetrics, prefix: Option<&str>) -> Router {
    let is_open = api.access.is_open();
    let time_limit = api.time_limit;
    let description = description();
    let described = query::Described::of(&description);
    let streams = streams(described.clone());
    let guarded = guarded(&api, described);
    let know = middleware::from_fn_with_state((api.access.clone(), api.audit.clone()), access::know);
    let record = middleware::from_fn_with_state(api.audit.clone(), audit::follow);
    let guarded = limit_requests(guarded, MAX_REQUESTS)
        .merge(streams)
        .layer(record)
        .layer(know);
    let login = if is_open { Login::Open } else { Login::Needed };
    let open = Router::new()
        .route("/openapi.json", pages::openapi(&description))
        .merge(pages::router(login))
        .merge(docs::router())
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(wrong_method);
    let router = limit_time(open, time_limit)
        .nest(document::ROOT, guarded)
        .with_state(api);
    // With a token, pages that do not know it are rejected anyway.
    let router = if is_open { origins::guard(router) } else { router };
    match prefix {
        Some(prefix) => behind(prefix, router),
        None => router,
    }
    .layer(CatchPanicLayer::custom(after_panic))
    // Inside the span: it gives the exemplars.
    .layer(middleware::from_fn_with_state(metrics, metrics::record))
    .layer(trace::layer())
    .layer(unless_given(header::CACHE_CONTROL, "no-store"))
    .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
    .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
    .layer(unless_given(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ))
}

/// The description of all routes of the API: OpenAPI 3.1.
pub(crate) fn description() -> OpenApi {
    let all = [
        (viewer_routes(), Right::Read),
        (publisher_routes(), Right::Publish),
        (client_routes(), Right::Clients),
        (operator_routes(), Right::Operate),
        (checking_routes(), Right::Operate),
        (asking_routes(), Right::Publish),
        (batch_routes(), Right::Publish),
        (stream_routes(), Right::Read),
    ];
    let all = all
        .into_iter()
        .map(|(routes, right)| document::needs(right, routes))
        .fold(OpenApiRouter::default(), OpenApiRouter::merge);
    let described = OpenApiRouter::with_openapi(document::empty()).nest(document::ROOT, all);
    document::complete(described.into_openapi())
}

/// The API, whose requests have a caller already.
fn guarded(api: &Api, described: query::Described) -> Router<Api> {
    let time_limit = api.time_limit;
    let once = middleware::from_fn_with_state(api.clone(), once::once);
    let known_only = middleware::from_fn_with_state(described, query::known_only);
    // A request with a key runs on without its caller, so the time limits are inside. Its body is read by the layer of the keys:
    // what bounds bodies is outside, and batches are counted there once more. Callers without the right are rejected before that, so that no
    // answer to a repeat comes to another caller than the first.
    let group = |routes: Router<Api>, limit, right| {
        let routes = limit_time(routes, limit).layer(once.clone()).layer(known_only.clone());
        guard(routes, right)
    };
    let asking = limit_requests(asking_routes().into(), MAX_ASKS);
    let batch = limit_requests(batch_routes().into(), MAX_BATCHES);
    let others = group(viewer_routes().into(), time_limit, Right::Read)
        .merge(group(publisher_routes().into(), time_limit, Right::Publish))
        .merge(group(client_routes().into(), time_limit, Right::Clients))
        .merge(group(operator_routes().into(), time_limit, Right::Operate))
        .merge(group(checking_routes().into(), checking(time_limit), Right::Operate))
        .merge(group(asking, longest(time_limit), Right::Publish));
    let batch = group(batch, longest(time_limit), Right::Publish);
    let bodies = Budget::default();
    let batch = bodies.limit(batch, MAX_BATCH_BYTES);
    bodies
        .limit(others, MAX_BODY_BYTES)
        .merge(limit_requests(batch, MAX_BATCHES))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(wrong_method)
}

/// Answers that do not end by themselves: they do not count among the requests that run, have limits of their own, and end with admin.
fn streams(described: query::Described) -> Router<Api> {
    let known_only = middleware::from_fn_with_state(described, query::known_only);
    guard_streams(Router::from(stream_routes()).layer(known_only), Right::Read)
        .method_not_allowed_fallback(wrong_method)
}

/// What every caller may follow.
fn stream_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(live::events))
        .routes(routes!(watch::watch))
        .routes(routes!(progress::events))
}

/// What every caller may read.
fn viewer_routes() -> OpenApiRouter<Api> {
    // A client may be called as these paths end.
    let called = |id| get(async move |api: State<Api>, caller: Caller| routes::client_called(api, caller, id).await);
    OpenApiRouter::default()
        .routes(routes!(routes::cluster))
        .routes(routes!(routes::nodes))
        .routes(routes!(stats::stats))
        .routes(routes!(stats::history))
        .routes(routes!(routes::rooms))
        .routes(routes!(routes::room))
        .routes(routes!(routes::client))
        .routes(routes!(clients::query))
        .route("/clients/query", called("query"))
        .route("/clients/messages", called("messages"))
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(assign::assign))
        .routes(routes!(callers::caller))
        .routes(routes!(records::audit))
}

/// Messages to clients, and what is attached to them.
fn publisher_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(messages::broadcast))
        .routes(routes!(messages::to_room))
        .routes(routes!(messages::to_clients))
        .routes(routes!(messages::to_client))
        .routes(routes!(clients::data))
}

/// Changes of clients and their rooms: for operators, and for publishers that may.
fn client_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(clients::close_room))
        .routes(routes!(clients::disconnect))
        .routes(routes!(clients::set_data, clients::remove_data))
        .routes(routes!(clients::join, clients::leave))
}

/// Changes of nodes and servers.
fn operator_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(jobs::remove_node))
        .routes(routes!(scale::scale))
        .routes(routes!(servers::drain))
        .routes(routes!(servers::resume))
        .routes(routes!(servers::rebalance))
        .routes(routes!(log_level::of_server))
        .routes(routes!(log_level::of_all))
}

/// Changes of nodes that wait for a preflight.
fn checking_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(jobs::add_node))
        .routes(routes!(preflight::preflight))
}

/// For publishers that wait for clients.
fn asking_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(clients::ask))
}

/// For publishers with much to do.
fn batch_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(batch::run))
}

/// Sets a header of every answer.
fn fixed(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// Sets a header of answers that do not have it.
fn unless_given(name: header::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// The routes, with a path before each. Locations that they answer are relative, as are the links of pages.
fn behind(prefix: &str, router: Router) -> Router {
    let folder = prefix.rsplit('/').next().unwrap_or_default();
    let folder = format!("{folder}/");
    Router::new()
        .route(
            prefix,
            get(async move || (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, folder.clone())])),
        )
        .nest(&format!("{prefix}/"), router)
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(wrong_method)
}

/// The path has other methods. Its header Allow is added by the router; to OPTIONS it is the whole answer.
async fn wrong_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => Problem::wrong_method().into_response(),
    }
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
