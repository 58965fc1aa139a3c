//! A ws-node inside another application: one port for its own routes and for WebSockets.
//!
//! `cargo run -p ws-node --example mounted`, then open <http://127.0.0.1:8000/> and <http://127.0.0.1:8000/hello>.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Options, ServerName, ServiceName};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::new(ServerName::new("mounted-0")?, ServiceName::new("ws-node")?);
    let node = WsNode::start(options, EdgeSettings::demo())?;
    let app = Router::new()
        .route("/hello", get(async || "hello\n"))
        .fallback_service(node.router());
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    let stop = async {
        let _no_signals_then = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    node.shutdown(Duration::from_secs(10)).await;
    Ok(())
}
