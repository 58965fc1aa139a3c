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
                       admin doctor say what is wrong";

/// The routes of the ops port: as those of every service. `/readyz` says more.
pub(crate) fn router(adapter: Adapter, access: Access, registry: Registry, stopping: CancellationToken) -> Router {
    let ready = readiness(adapter.clone(), stopping);
    let is_ready = ready.clone();
    let ops = Ops {
        registry,
        ready: Box::new(move || is_ready().map(drop).map_err(str::to_owned)),
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
        .route("/readyz", get(async move || told(ready())))
        .fallback_service(ops::router(ops))
}

/// Whether it is ready, and what is to be known about that; if not, why.
fn readiness(
    adapter: Adapter,
    stopping: CancellationToken,
) -> impl Fn() -> Result<&'static str, &'static str> + Clone + Send + Sync + 'static {
    move || match (stopping.is_cancelled(), adapter.is_ready()) {
        (true, _) => Err("this server is stopping"),
        (false, true) => Ok("ready"),
        (false, false) => Ok(UNHEARD),
    }
}

fn told(ready: Result<&'static str, &'static str>) -> (StatusCode, String) {
    let (status, text) = match ready {
        Ok(text) => (StatusCode::OK, text),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    (status, format!("{text}\n"))
}
