//! ws-nodes in this process, on the embedded bus.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Bus, MemoryBus, Options, ServerName, ServiceName};

const PATIENCE: Duration = Duration::from_secs(10);

/// Some ws-nodes; they end with this.
pub(crate) struct Nodes {
    pub(crate) urls: Vec<String>,
    nodes: Vec<WsNode>,
    runtime: Runtime,
    stop: CancellationToken,
}

impl Nodes {
    /// Starts this many, which know each other.
    pub(crate) fn start(count: usize) -> Self {
        let runtime = Runtime::new().expect("threads");
        let (bus, stop) = (MemoryBus::new(["a", "b"]).expect("valid"), CancellationToken::new());
        let started = runtime.block_on(async {
            let mut started = Vec::new();
            for number in 0..count {
                started.push(start(number, &bus, &stop).await);
            }
            for (node, _) in &started {
                tokio::time::timeout(PATIENCE, sees(node, count))
                    .await
                    .expect("they see each other");
            }
            started
        });
        let (nodes, addresses): (_, Vec<SocketAddr>) = started.into_iter().unzip();
        Self {
            urls: addresses.iter().map(|address| format!("ws://{address}/")).collect(),
            nodes,
            runtime,
            stop,
        }
    }
}

async fn start(number: usize, bus: &MemoryBus, stop: &CancellationToken) -> (WsNode, SocketAddr) {
    let name = ServerName::new(format!("ws-{number}")).expect("valid");
    let mut options = Options::new(name, ServiceName::new("ws-node").expect("valid"));
    options.bus = Bus::Memory(bus.clone());
    let settings = EdgeSettings {
        shards: 1,
        // Small, so that slow clients are closed soon.
        outbox_bytes: 256 * 1024,
        close_timeout: Duration::from_secs(1),
        ..EdgeSettings::demo()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let node = WsNode::start(options, settings).expect("starts");
    tokio::spawn(node.serve(listener, stop.clone()));
    tokio::time::timeout(PATIENCE, node.adapter().ready())
        .await
        .expect("ready");
    (node, address)
}

async fn sees(node: &WsNode, servers: usize) {
    while node.adapter().servers().iter().filter(|server| server.counted).count() < servers {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.stop.cancel();
        for node in self.nodes.drain(..) {
            self.runtime.block_on(node.shutdown(Duration::from_secs(5)));
        }
    }
}
