//! Requests of an operator that come through another server, admin for example: drain, resume, rebalance.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wsmesh_adapter::{PayloadError, Refusal};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::forward::{DRAIN, Drain, Draining, REBALANCE, RESUME, Rebalance};

use crate::balance;
use crate::gate::Gate;

/// Longest time that a request may give to a drain or a rebalance.
const LONGEST: Duration = Duration::from_secs(3600);

/// Listens until the adapter ends.
pub(crate) fn listen(gate: &Gate) {
    on(gate, DRAIN, drain);
    on(gate, RESUME, resume);
    on(gate, REBALANCE, rebalance);
}

async fn drain(gate: Gate, Drain { within_ms }: Drain) -> Draining {
    let at_most = within_ms.map_or(gate.edge.settings.drain_time, Duration::from_millis);
    let within = gate.drain(at_most.min(LONGEST)).await;
    let within_ms = within.as_millis() as u64;
    tracing::info!(within_ms, "draining on request: new clients are rejected");
    draining(&gate, Some(within_ms))
}

async fn resume(gate: Gate, Drain { .. }: Drain) -> Draining {
    gate.resume().await;
    tracing::info!("accepting clients again on request");
    draining(&gate, None)
}

async fn rebalance(gate: Gate, Rebalance { clients }: Rebalance) -> Value {
    let edge = &gate.edge;
    let clients = clients.unwrap_or_else(|| balance::excess(&edge.adapter.servers(), edge.adapter.name(), 1.0));
    let over = Duration::from_secs_f64(clients as f64 / f64::from(edge.settings.rebalance_rate));
    gate.shed(clients, over.min(LONGEST)).await;
    json!({ "clients": clients })
}

fn draining(gate: &Gate, within_ms: Option<u64>) -> Draining {
    Draining {
        draining: gate.edge.is_draining(),
        connections: gate.edge.metrics.engine.connections.get().max(0) as u64,
        within_ms,
    }
}

fn on<P, R, Obey, Done>(gate: &Gate, order: &str, obey: Obey)
where
    P: DeserializeOwned + Send,
    R: Serialize + Send + 'static,
    Obey: Fn(Gate, P) -> Done + Copy + Send + Sync + 'static,
    Done: Future<Output = R> + Send + 'static,
{
    let (adapter, gate) = (gate.edge.adapter.clone(), gate.clone());
    adapter.on_request(order, move |event| {
        let gate = gate.clone();
        async move {
            let payload = event.payload.parse::<P>();
            let bad = |error: PayloadError| Refusal::new(ErrorCode::BadPayload.as_str(), error.to_string());
            Ok(obey(gate, payload.map_err(bad)?).await)
        }
    });
}
