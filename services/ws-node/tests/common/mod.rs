//! A cluster inside one test: ws-nodes and services on the embedded bus, and clients with time limits.

#![expect(dead_code, reason = "every test binary uses another part of it")]

pub(crate) mod frame;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, WsNode, WsNodeBuilder};
use wsmesh_adapter::{Adapter, Bus, Driver, MemoryBus, Options, ServerName, ServiceName, Started};

/// Longest wait of these tests: only something broken takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Settings of the demo profile on one shard, small enough for a test machine.
pub(crate) fn demo() -> EdgeSettings {
    EdgeSettings {
        shards: 2,
        close_timeout: Duration::from_secs(2),
        ..EdgeSettings::demo()
    }
}

pub(crate) fn bus() -> MemoryBus {
    MemoryBus::new(["a", "b", "c"]).expect("valid")
}

/// A ws-node that serves on a free port.
pub(crate) struct Server {
    pub(crate) node: WsNode,
    pub(crate) address: SocketAddr,
    pub(crate) registry: prometheus::Registry,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(name: &str, bus: &MemoryBus, settings: EdgeSettings) -> Self {
        Self::start_built(name, bus, settings, |node| node).await
    }

    /// With handlers of the test.
    pub(crate) async fn start_built(
        name: &str,
        bus: &MemoryBus,
        settings: EdgeSettings,
        build: impl FnOnce(WsNodeBuilder) -> WsNodeBuilder,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let options = options(name, "ws-node", bus);
        let registry = options.registry.clone();
        let node = build(WsNode::builder(options, settings)).start().expect("starts");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(node.serve(listener, stop.clone()));
        timeout(PATIENCE, node.adapter().ready()).await.expect("ready");
        Self {
            node,
            address,
            registry,
            stop,
            serving,
        }
    }

    pub(crate) async fn alone(settings: EdgeSettings) -> Self {
        Self::start("edge", &bus(), settings).await
    }

    pub(crate) async fn client(&self, id: &str) -> Client {
        Client::connect(&format!("ws://{}/chat?id={id}", self.address))
            .await
            .expect("upgrades")
    }

    /// A TCP connection, for bytes that no WebSocket client would send.
    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    pub(crate) async fn shut_down(self) {
        self.shut_down_within(Duration::from_secs(5)).await;
    }

    pub(crate) async fn shut_down_within(self, grace: Duration) {
        self.node.start_draining();
        self.stop.cancel();
        timeout(PATIENCE, self.node.shutdown(grace))
            .await
            .expect("ends in time");
        timeout(PATIENCE, self.serving)
            .await
            .expect("stops accepting")
            .expect("no panic");
    }
}

/// A server of another service on the same bus.
pub(crate) struct Other {
    pub(crate) adapter: Adapter,
    pub(crate) driver: Driver,
}

impl Other {
    pub(crate) async fn start(name: &str, service: &str, bus: &MemoryBus) -> Self {
        let Started { adapter, driver, .. } = Adapter::start(options(name, service, bus)).expect("starts");
        timeout(PATIENCE, adapter.ready()).await.expect("ready");
        Self { adapter, driver }
    }
}

fn options(name: &str, service: &str, bus: &MemoryBus) -> Options {
    let name = ServerName::new(name).expect("valid");
    let mut options = Options::new(name, ServiceName::new(service).expect("valid"));
    options.bus = Bus::Memory(bus.clone());
    options
}

pub(crate) use wsmesh_test_support::until;

/// Waits until this server counts this many servers.
pub(crate) async fn sees(adapter: &Adapter, servers: usize) {
    until("the servers count each other", || {
        let known = adapter.servers();
        known.len() == servers && known.iter().all(|server| server.counted && !server.heard.is_empty())
    })
    .await;
}

/// What a client received.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Frame(Value),
    Text(String),
    Closed(Option<(u16, String)>),
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: usize,
}

impl Client {
    pub(crate) fn new(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { socket, requests: 0 }
    }

    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let (socket, _) = timeout(PATIENCE, connect_async(url)).await.expect("answers")?;
        Ok(Self::new(socket))
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.expect("sends");
    }

    pub(crate) async fn emit(&mut self, event: &str, payload: Value) {
        self.send(json!({"event": event, "payload": payload}).to_string()).await;
    }

    /// The next text frame, or the end.
    pub(crate) async fn next(&mut self) -> Received {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something comes") {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_or_else(|_| Received::Text(text.to_string()), Received::Frame);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Received::Closed(frame.map(|frame| (frame.code.into(), frame.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Received::Frame(frame) => frame,
            other => panic!("a frame was expected, not {other:?}"),
        }
    }

    /// The code with which the server closes; skips what comes before.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Received::Closed(frame) = self.next().await {
                return frame.map(|(code, _)| code);
            }
        }
    }

    /// Sends a request and returns its reply; skips what is pushed before.
    pub(crate) async fn request(&mut self, event: &str, payload: Value) -> Value {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.send(json!({"event": event, "payload": payload, "callbackId": id}).to_string())
            .await;
        loop {
            let mut frame = self.frame().await;
            if frame["callbackId"] == id.as_str() {
                return frame["payload"].take();
            }
        }
    }

    /// Resolves when the server has handled everything sent before, and other servers can reach the client.
    pub(crate) async fn settled(mut self) -> Self {
        assert_eq!(self.request("echo", json!(null)).await, json!({"ok": true}));
        self
    }
}
