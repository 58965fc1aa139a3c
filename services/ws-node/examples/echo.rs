//! The engine of ws-node as a server that echoes text and binary messages: what conformance suites test.
//!
//! `cargo run --release -p ws-node --example echo -- 127.0.0.1:9001`, then point a suite at `ws://127.0.0.1:9001`. With
//! `--deflate` behind the address, messages are compressed where the client offers it.

use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, Command};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Options, ServerName, ServiceName};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = Arg::new("address")
        .value_name("IP:PORT")
        .default_value("127.0.0.1:9001");
    let deflate = Arg::new("deflate").long("deflate").action(ArgAction::SetTrue);
    let arguments = Command::new("echo")
        .about("Echoes text and binary messages, for conformance suites")
        .arg(address.help("Where to listen"))
        .arg(deflate.help("Compress messages where the client offers it"))
        .get_matches();
    let address = arguments.get_one::<String>("address").context("it has a default")?;
    let options = Options::new(ServerName::new("echo-0")?, ServiceName::new("ws-node")?);
    let mut settings = EdgeSettings::echo();
    settings.deflate = arguments.get_flag("deflate");
    settings.deflate_above = 1;
    let node = WsNode::start(options, settings)?;
    let listener = TcpListener::bind(address)
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
