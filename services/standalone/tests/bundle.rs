//! The bundle in this process, on free ports: real clients on both ws-nodes, game-logic and admin, and a clean end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use ws_node::EdgeSettings;
use wsmesh_bootstrap::{CommonConfig, Profile};
use wsmesh_standalone::{Bundle, Config, Kind, StandaloneSettings};

const LIMIT: Duration = Duration::from_secs(20);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn config(port_base: u16) -> Config {
    let common = CommonConfig {
        profile: Profile::Demo,
        shutdown_grace: Duration::from_secs(5),
        ..CommonConfig::new("tests")
    };
    Config {
        common,
        settings: StandaloneSettings {
            host: HERE,
            port_base,
            ..StandaloneSettings::default()
        },
        edge: EdgeSettings::default(),
    }
}

async fn started() -> Bundle {
    within(Bundle::start(&config(0))).await.expect("starts")
}

fn public(bundle: &Bundle, kind: Kind, index: usize) -> SocketAddr {
    let of_kind = bundle.services().iter().filter(|service| service.place.kind == kind);
    of_kind
        .filter_map(|service| service.place.public)
        .nth(index)
        .expect("it listens")
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("within the time limit of the tests")
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, &format!("GET {path}"), "", "").await
}

async fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let more = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    exchange(address, &format!("POST {path}"), &more, body).await
}

async fn exchange(address: SocketAddr, what: &str, more: &str, body: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("{what} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{more}\r\n{body}");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    within(exchange).await.expect("an answer")
}

async fn json_of(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(edge: SocketAddr, id: &str) -> Self {
        let url = format!("ws://{edge}/?id={id}");
        let (socket, _) = within(tokio_tungstenite::connect_async(url)).await.expect("connects");
        Self(socket)
    }

    async fn send(&mut self, frame: Value) {
        within(self.0.send(Message::text(frame.to_string())))
            .await
            .expect("sends");
    }

    /// The next frame that satisfies `wanted`.
    async fn frame(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                let message = self.0.next().await.expect("connected").expect("a frame");
                if let Message::Text(text) = message
                    && let Ok(frame) = serde_json::from_str(&text)
                    && wanted(&frame)
                {
                    return frame;
                }
            }
        };
        within(reading).await
    }

    async fn request(&mut self, event: &str, payload: Value, id: &str) -> Value {
        self.send(json!({"event": event, "payload": payload, "callbackId": id}))
            .await;
        self.frame(|frame| frame["callbackId"] == id).await["payload"].take()
    }

    /// The close code.
    async fn closed(mut self) -> u16 {
        let reading = async {
            loop {
                if let Message::Close(frame) = self.0.next().await.expect("a close frame").expect("a frame") {
                    return frame.expect("a code").code.into();
                }
            }
        };
        within(reading).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_on_both_ws_nodes_talk_to_each_other_to_game_logic_and_are_seen_by_admin() {
    let bundle = started().await;
    let (one, two) = (public(&bundle, Kind::WsNode, 0), public(&bundle, Kind::WsNode, 1));
    let admin = public(&bundle, Kind::Admin, 0);
    let (mut ann, mut bob) = (Client::connect(one, "ann").await, Client::connect(two, "bob").await);

    // Started means that services know each other: the very first request is answered.
    for (client, id) in [(&mut ann, "a"), (&mut bob, "b")] {
        let answer = client.request("gamePing", json!({}), id).await;
        assert!(answer.get("error").is_none(), "{answer}");
    }
    ann.send(json!({"event": "command", "payload": {"action": "broadcast", "msg": "hello"}}))
        .await;
    let said = bob.frame(|frame| frame["event"] == "say").await;
    assert_eq!(said["payload"]["msg"], "hello");

    within(async {
        // A sample is taken each second.
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            let stats = json_of(admin, "/api/v1/stats").await;
            if stats["clients"] == 2 && stats["complete"] == true {
                return;
            }
            every.tick().await;
        }
    })
    .await;
    let found = json_of(admin, "/api/v1/clients/bob").await;
    assert_eq!(found["connections"][0]["server"], "ws-node-2", "{found}");
    for edge in [one, two] {
        let told = json_of(edge, "/playground/admin.json").await;
        assert_eq!(told["port"], admin.port(), "the playground finds admin");
    }
    let told = r#"{"event": "told", "payload": 1}"#;
    let answer = post(admin, "/api/v1/clients/bob/messages", told).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(
        answer.ends_with(r#"{"accepted":true,"servers":1,"state":"connected"}"#),
        "{answer}"
    );
    assert_eq!(bob.frame(|frame| frame["event"] == "told").await["payload"], 1);
    let nodes = json_of(admin, "/api/v1/nodes").await;
    let heard: Vec<_> = nodes["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| &node["heardBy"])
        .collect();
    assert_eq!(heard.len(), 3);
    assert!(
        heard
            .iter()
            .all(|servers| servers.as_array().is_some_and(|servers| servers.len() == 5)),
        "{nodes}"
    );
    within(bundle.end()).await.expect("ends cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_players_on_different_ws_nodes_are_matched() {
    let bundle = started().await;
    let mut ann = Client::connect(public(&bundle, Kind::WsNode, 0), "ann").await;
    let mut bob = Client::connect(public(&bundle, Kind::WsNode, 1), "bob").await;
    for (client, id) in [(&mut ann, "a"), (&mut bob, "b")] {
        let ticket = client.request("matchRequest", json!({}), id).await;
        assert!(ticket.get("error").is_none(), "{ticket}");
    }
    for client in [&mut ann, &mut bob] {
        client.frame(|frame| frame["event"] == "matchFound").await;
    }
    within(bundle.end()).await.expect("ends cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_ends_within_seconds_and_sends_its_clients_away_to_come_back() {
    let bundle = started().await;
    let ann = Client::connect(public(&bundle, Kind::WsNode, 0), "ann").await;
    let begin = Instant::now();
    let (code, ended) = tokio::join!(ann.closed(), within(bundle.end()));
    ended.expect("ends cleanly");
    assert_eq!(code, 1012);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_bundles_run_beside_each_other_on_free_ports() {
    let (one, two) = (started().await, started().await);
    let mut ann = Client::connect(public(&one, Kind::WsNode, 0), "ann").await;
    let answer = ann.request("echo", json!({}), "1").await;
    assert_eq!(answer, json!({"ok": true}));
    let other = json_of(public(&two, Kind::Admin, 0), "/api/v1/stats").await;
    assert_eq!(other["clients"], 0, "each has a bus of its own");
    assert!(
        one.welcome()
            .contains(&format!("http://{}/", public(&one, Kind::WsNode, 0)))
    );
    within(one.end()).await.expect("ends cleanly");
    within(two.end()).await.expect("ends cleanly");
}

#[tokio::test]
async fn all_taken_ports_are_named_with_the_flag() {
    // A base of which two ports are taken.
    let (base, _taken) = loop {
        let first = tokio::net::TcpListener::bind((HERE, 0)).await.expect("a free port");
        let base = first.local_addr().expect("an address").port();
        if base < u16::MAX - 100
            && let Ok(admin) = tokio::net::TcpListener::bind((HERE, base + 100)).await
        {
            break (base, [first, admin]);
        }
    };
    let problem = Bundle::start(&config(base))
        .await
        .expect_err("ports are taken")
        .to_string();
    for (port, name) in [(base, "ws-node-1"), (base + 100, "admin-1")] {
        assert!(
            problem.contains(&format!("port {port} for {name} is taken")),
            "{problem}"
        );
    }
    assert!(problem.contains("--port-base"), "{problem}");
}
