//! The ops port of an admin. It is ready as long as it does not stop: its API and its pages are needed most while no Redis node is heard.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::Adapter;
use wsmesh_bootstrap::{Ops, ops};

use crate::access::Access;

/// What is said as long as no Redis node is heard.
const UNHEARD: &str = "ready, but no Redis node is heard: the API and the page answer with what this admin alone knows; GET /api/v1/nodes and \
                       admin doctor say what is wrong\n";

/// The routes of the ops port: as those of every service, but `/readyz`.
pub(crate) fn router(adapter: Adapter, access: Access, registry: Registry, stopping: CancellationToken) -> Router {
    let ready = readiness(adapter.clone(), stopping.clone());
    let ops = Ops {
        registry,
        ready: Box::new(ops::readiness(adapter.clone(), stopping)),
        stats: Box::new(move || {
            serde_json::json!({
                "name": adapter.name(),
                "service": adapter.service(),
                "ready": adapter.is_ready(),
                "servers": adapter.servers().len(),
                "nodes": *adapter.nodes().borrow().clone(),
                "access": access.stats(),
            })
        }),
    };
    Router::new()
        .route("/readyz", get(async move || ready()))
        .fallback_service(ops::router(ops))
}

fn readiness(
    adapter: Adapter,
    stopping: CancellationToken,
) -> impl Fn() -> (StatusCode, &'static str) + Clone + Send + Sync + 'static {
    move || match (stopping.is_cancelled(), adapter.is_ready()) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "this server is stopping\n"),
        (false, true) => (StatusCode::OK, "ready\n"),
        (false, false) => (StatusCode::OK, UNHEARD),
    }
}
