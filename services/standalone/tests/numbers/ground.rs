//! A ws-node, a game-logic and an admin in this process, on a real Redis.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, Rule};
use wsmesh_adapter::{Bus, NodeUrl, ServerName};
use wsmesh_bootstrap::{CommonConfig, Problems, Profile, Service, Sockets, configure};
use wsmesh_test_support::redis::Redis;
use wsmesh_test_support::{SOON, soon};

/// The services, as the places where they listen.
pub(crate) struct Ground {
    pub(crate) edge: Place,
    pub(crate) logic: Place,
    pub(crate) admin: Place,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
    _redis: Redis,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Ground {
    /// Starts them, with a rule, a watch, a service and a Lease, so that there is something of every kind to count.
    pub(crate) async fn start() -> Self {
        let redis = Redis::start(&[]);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let nowhere = "http://127.0.0.1:1/bids".parse().expect("a URL");
        let watch = json!({"service": "game-logic", "events": ["connected", "joined"]});
        let settings = EdgeSettings {
            rules: vec![Rule::to_url("bid", nowhere)].into(),
            watch: vec![serde_json::from_value(watch).expect("a watch")].into(),
            ..EdgeSettings::default()
        };
        let logic = start::<game_logic::Service>("logic-0", &redis, <_>::default(), &stop, &mut tasks).await;
        let edge = start::<ws_node::WsNodeService>("ws-0", &redis, settings, &stop, &mut tasks).await;
        // Outside of Kubernetes it only tells that it does not lead.
        let settings = admin::AdminSettings {
            kubernetes_lease: Some("wsmesh-admin".to_owned()),
            ..admin::AdminSettings::default()
        };
        let admin = start::<admin::Admin>("admin-0", &redis, settings, &stop, &mut tasks).await;
        let ground = Self {
            edge,
            logic,
            admin,
            stop,
            tasks,
            _redis: redis,
        };
        for place in ground.places() {
            soon("it knows the others", async {
                loop {
                    let text = get(place.ops, "/metrics").await;
                    let servers = text.lines().filter(|line| line.starts_with("wsmesh_servers{"));
                    if servers.filter(|line| line.ends_with(" 1")).count() == 3 {
                        return;
                    }
                    tokio::time::sleep(POLL).await;
                }
            })
            .await;
        }
        ground
    }

    pub(crate) fn places(&self) -> [Place; 3] {
        [self.edge, self.logic, self.admin]
    }

    pub(crate) async fn client(&self, id: &str) -> Client {
        let url = format!("ws://{}/?id={id}", self.edge.public);
        let (socket, _) = soon("connected", tokio_tungstenite::connect_async(url))
            .await
            .expect("connects");
        Client(socket)
    }

    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = soon("ended", self.tasks.join_next()).await {
            ended.expect("no panic").expect("no error");
        }
    }
}

pub(crate) const POLL: std::time::Duration = std::time::Duration::from_millis(50);

async fn start<S: Service>(
    name: &str,
    redis: &Redis,
    settings: S::Settings,
    stop: &CancellationToken,
    tasks: &mut JoinSet<anyhow::Result<()>>,
) -> Place {
    let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (public, ops) = (bind().await, bind().await);
    let place = Place {
        public: public.local_addr().expect("an address"),
        ops: ops.local_addr().expect("an address"),
    };
    let common = CommonConfig {
        name: ServerName::new(name).expect("a name"),
        bus: Bus::Redis(vec![NodeUrl::parse(&redis.url("redis-0")).expect("a URL")]),
        listen: Some(place.public),
        ops_listen: Some(place.ops),
        profile: Profile::Demo,
        shutdown_grace: SOON / 4,
        ..CommonConfig::new(name)
    };
    let mut problems = Problems::default();
    let config = configure::<S>(common, settings, &mut problems);
    let config = config.unwrap_or_else(|| panic!("{:?}", problems.lines()));
    let sockets = Sockets {
        public: Some(public),
        ops: Some(ops),
    };
    tasks.spawn(S::run(config, sockets, stop.clone()));
    place
}

/// The body of an answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let answer = exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
    .await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    body.to_owned()
}

/// Sends this and reads until the end.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    soon("an answer", async {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        // A server may reset the connection after its answer.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}

pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn send(&mut self, frame: Value) {
        let sent = soon("sent", self.0.send(Message::text(frame.to_string()))).await;
        sent.expect("connected");
    }

    /// The payload of the reply.
    pub(crate) async fn request(&mut self, event: &str, payload: Value) -> Value {
        self.send(json!({"event": event, "payload": payload, "callbackId": event}))
            .await;
        self.reply(event).await
    }

    pub(crate) async fn reply(&mut self, id: &str) -> Value {
        soon("a reply", async {
            loop {
                let message = self.0.next().await.expect("connected").expect("a frame");
                if let Message::Text(text) = message
                    && let Ok(mut frame) = serde_json::from_str::<Value>(&text)
                    && frame["callbackId"] == id
                {
                    return frame["payload"].take();
                }
            }
        })
        .await
    }

    pub(crate) async fn close(mut self) {
        let _ = soon("closed", self.0.close(None)).await;
    }
}
