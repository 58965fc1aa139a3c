//! What is known about a client stays where it was asked for: no log line, no span and no metric has any of it.
//!
//! The only test of its binary, because it listens to everything that this process logs.

mod common;

use std::io::Write;
use std::sync::Arc;

use common::{Client, Other, PATIENCE, Server, bus, demo, sees};
use jsonwebtoken::{EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tracing_subscriber::fmt::format::FmtSpan;
use ws_node::{AuthSettings, EdgeSettings, Limits};
use wsmesh_adapter::{ClientId, Payload, RequestOptions, Target};
use wsmesh_bootstrap::{Secret, SecretFile};
use wsmesh_protocol::forward::CLIENT_DATA;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Each appears in one part of the context.
const PRIVATE: [&str; 6] = [
    "in-the-path",
    "in-a-parameter",
    "in-a-header",
    "203.0.113.77",
    "in-a-claim",
    "in-the-data",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens to everything that wsmesh logs, and to its spans.
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter("warn,ws_node=trace,wsmesh_adapter=trace,wsmesh_bootstrap=trace,wsmesh_protocol=trace")
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

fn settings() -> EdgeSettings {
    EdgeSettings {
        context_headers: vec!["x-device".to_owned()],
        auth: AuthSettings {
            jwt_key: Some(SecretFile::from_secret(Secret::new(SECRET))),
            ..AuthSettings::default()
        },
        limits: Limits {
            trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")],
            ..Limits::default()
        },
        ..demo()
    }
}

fn token(secret: &str) -> String {
    let claims = json!({"sub": "ann", "exp": 4_000_000_000_u64, "note": "in-a-claim"});
    jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("signs")
}

async fn connect(server: &Server, secret: &str) -> Option<Client> {
    let path = format!("in-the-path?q=in-a-parameter&token={}", token(secret));
    let mut request = format!("ws://{}/{path}", server.address)
        .into_client_request()
        .expect("a URL");
    for (name, value) in [("x-device", "in-a-header"), ("x-forwarded-for", "203.0.113.77")] {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    let connecting = tokio::time::timeout(PATIENCE, connect_async(request));
    let (socket, _) = connecting.await.expect("answers").ok()?;
    Some(Client::new(socket))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_known_about_a_client_is_logged_traced_or_counted() {
    let log = Log::listen();
    let bus = bus();
    let server = Server::start("edge", &bus, settings()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(server.node.adapter(), 2).await;
    sees(&logic.adapter, 2).await;
    logic.adapter.on_request("gamePing", |event| {
        let found = event
            .payload
            .to_json()
            .is_ok_and(|json| json.windows(11).any(|bytes| bytes == b"in-the-data"));
        async move { Ok(found) }
    });

    assert!(
        connect(&server, &SECRET.replace('0', "1")).await.is_none(),
        "a forged token"
    );
    let mut client = connect(&server, SECRET).await.expect("upgrades").settled().await;
    let ann = ClientId::new("ann").expect("valid");
    let data = json!(["in-the-data"]);
    assert!(logic.adapter.set_client_data(&ann, Some(&data)).await.expect("set"));
    assert_eq!(client.request("gamePing", json!(1)).await, json!(true));
    assert_eq!(
        client.request("matchRequest", json!(1)).await["errorCode"],
        "UNKNOWN_EVENT"
    );
    let found = logic.adapter.client(&ann).await.expect("known");
    let seen = serde_json::to_string(&found).expect("JSON");
    for private in PRIVATE {
        assert!(seen.contains(private), "{private} is known: {seen}");
        assert!(!format!("{found:?}").contains(private), "{found:?}");
    }
    for order in [
        json!({"client": "ann", "data": "in-the-data".repeat(1000)}),
        json!({"data": "in-the-data"}),
        json!("in-the-data"),
    ] {
        let target = Target::Server(server.node.adapter().name().clone());
        let order = Payload::new(&order).expect("JSON");
        let answer = logic
            .adapter
            .call(target, CLIENT_DATA, order, RequestOptions::default())
            .await;
        let answer = answer.expect("answered").payload.to_json().expect("JSON");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.contains("BAD_PAYLOAD") && !answer.contains("in-the-data"),
            "{answer}"
        );
    }
    let refused = client
        .request("refreshToken", json!({"token": token(&SECRET.replace('0', "1"))}))
        .await;
    assert_eq!(refused["errorCode"], "NOT_ALLOWED");
    let metrics = format!("{:?}", server.registry.gather());
    client.socket.close(None).await.expect("closes");
    server.shut_down().await;

    let log = log.text();
    assert!(
        log.contains("a client is connected") && log.contains("an upgrade was rejected"),
        "it listened"
    );
    assert!(log.contains("ws.receive"), "to spans, too");
    for private in PRIVATE {
        let line = log.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private}");
        assert!(!metrics.contains(private), "{private} is in the metrics");
    }
}
