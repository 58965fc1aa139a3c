//! The engine of ws-node as a server that echoes text and binary messages: what conformance suites test.
//!
//! `cargo run --release -p ws-node --example echo -- 127.0.0.1:9001`, then point a suite at `ws://127.0.0.1:9001`. With
//! `--deflate` behind the address, messages are compressed where the client offers it.

use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Options, ServerName, ServiceName};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let options = Options::new(ServerName::new("echo-0")?, ServiceName::new("ws-node")?);
    let mut settings = EdgeSettings::echo();
    settings.deflate_above = std::env::args().skip(2).find(|word| word == "--deflate").map(|_| 0);
    let node = WsNode::start(options, settings)?;
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}: give another IP:PORT"))?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(node.serve(listener, stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    node.shutdown(Duration::from_secs(10)).await;
    serving.await?;
    Ok(())
}
