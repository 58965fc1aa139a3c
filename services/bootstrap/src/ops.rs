//! The ops port with `/livez`, `/readyz`, `/metrics` and `/stats`: for probes and scrapers, not for the public.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures_util::future::join_all;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::Adapter;

use crate::http::{self, Front, Limits};
use crate::process_metrics;

/// Connections at once: probes, scrapers, and backends that keep some open.
pub const CONNECTIONS: usize = 128;

/// What a server shows on its ops port.
pub struct Ops {
    /// Its metrics. `wsmesh_build_info` and those of the process are added.
    pub registry: Registry,
    /// Whether it should get traffic; if not, why.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Numbers about its load, for people and autoscalers.
    pub stats: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").finish_non_exhaustive()
    }
}

/// The usual [`Ops::ready`]: the server hears a Redis node and does not stop.
pub fn readiness(adapter: Adapter, stopping: CancellationToken) -> impl Fn() -> Result<(), String> + Send + Sync {
    move || {
        if stopping.is_cancelled() {
            return Err("this server is stopping".to_owned());
        }
        hears_redis(&adapter)
    }
}

/// Whether this server hears a Redis node; if not, a sentence for the probe's answer.
///
/// # Errors
/// That sentence.
pub fn hears_redis(adapter: &Adapter) -> Result<(), String> {
    if adapter.is_ready() {
        Ok(())
    } else {
        Err("no Redis node is heard yet".to_owned())
    }
}

/// Serves until `shutdown` is cancelled, over TLS if there is an acceptor ([`CommonConfig::ops_acceptor`](crate::CommonConfig::ops_acceptor)). Cancel it last: while the
/// server ends, probes should see "not ready" and not a closed port.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, ops: Ops, shutdown: CancellationToken) {
    serve_all([listener], tls, ops, shutdown).await;
}

/// As [`serve`], on several listeners: `sockets.ops.into_iter().chain(sockets.public)` serves on all that exist.
pub async fn serve_all(
    listeners: impl IntoIterator<Item = TcpListener>,
    tls: Option<TlsAcceptor>,
    ops: Ops,
    shutdown: CancellationToken,
) {
    serve_router(listeners, tls, router(ops), shutdown).await;
}

/// As [`serve_all`], for a service with routes of its own in addition to those of [`router()`].
pub async fn serve_router(
    listeners: impl IntoIterator<Item = TcpListener>,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) {
    let front = Front::new(router, Limits::keep_alive(CONNECTIONS)).tls(tls);
    let served = |listener| http::serve(listener, front.clone(), shutdown.clone());
    join_all(listeners.into_iter().map(served)).await;
}

/// Only the routes, for a service that serves them together with its own.
pub fn router(ops: Ops) -> Router {
    let shown = Arc::new(Shown {
        own: own_metrics(),
        ops,
    });
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/stats", get(stats))
        .with_state(shown)
}

struct Shown {
    ops: Ops,
    own: Vec<Box<dyn Collector>>,
}

/// Not registered with the service's registry, which other servers in this process may share.
fn own_metrics() -> Vec<Box<dyn Collector>> {
    let labels = [("version", crate::VERSION), ("revision", crate::REVISION)];
    let options = Opts::new("wsmesh_build_info", "1, with the version and the commit that runs.");
    let options = labels
        .into_iter()
        .fold(options, |options, (name, value)| options.const_label(name, value));
    let build_info = IntGauge::with_opts(options).inspect(|gauge| gauge.set(1));
    let mut own: Vec<Box<dyn Collector>> = vec![Box::new(ProcessCollector::for_self())];
    if let Ok(build_info) = build_info {
        own.push(Box::new(build_info));
    }
    own
}

async fn ready(State(shown): State<Arc<Shown>>) -> Response {
    match (shown.ops.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    let mut families: Vec<MetricFamily> = shown.ops.registry.gather();
    families.extend(shown.own.iter().flat_map(|collector| collector.collect()));
    families.extend(process_metrics::gather());
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn stats(State(shown): State<Arc<Shown>>) -> Json<serde_json::Value> {
    Json((shown.ops.stats)())
}
