//! One-time tickets: redeemed over the bus, at the server that issued them, once.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use ws_node::{AuthSettings, EdgeSettings};
use wsmesh_adapter::MemoryBus;
use wsmesh_bootstrap::{Secret, SecretFile};

use crate::common::{Client, Received, Server, bus, sees};
use crate::door::{closed, code, counted, is_here, knock};
use crate::signer::now;

const KEY: &str = "an-api-key-of-the-backend-with-32-or-more-characters";

fn settings() -> EdgeSettings {
    let auth = AuthSettings {
        ticket_key: Some(SecretFile::from_secret(Secret::new(KEY))),
        ..AuthSettings::default()
    };
    EdgeSettings { auth, ..closed() }
}

struct Edge {
    server: Server,
    backend_url: String,
}

impl Edge {
    async fn start(name: &str, bus: &MemoryBus) -> Self {
        let server = Server::start(name, bus, settings()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(axum::serve(listener, server.node.backend_router()).into_future());
        let backend_url = format!("http://{address}/api/v1/tickets");
        Self { server, backend_url }
    }

    async fn ask(&self, key: &str, body: &str) -> (u16, Value) {
        let request = http().post(&self.backend_url).bearer_auth(key).body(body.to_owned());
        let response = request.send().await.expect("answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }

    async fn ticket(&self, wanted: Value) -> String {
        let (status, answer) = self.ask(KEY, &wanted.to_string()).await;
        assert_eq!(status, 201, "{answer}");
        answer["ticket"].as_str().expect("a ticket").to_owned()
    }

    async fn show(&self, ticket: &str) -> Result<Client, (u16, String)> {
        knock(&self.server, &format!("id=eve&ticket={ticket}"), &[]).await
    }

    fn refused(&self, reason: &str) -> u64 {
        counted(&self.server.registry, "wsmesh_auth_failures_total", reason)
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls())
        .build()
        .expect("a client")
}

fn tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

async fn two() -> (Edge, Edge) {
    let bus = bus();
    let (one, two) = tokio::join!(Edge::start("edge-1", &bus), Edge::start("edge-2", &bus));
    sees(one.server.node.adapter(), 2).await;
    sees(two.server.node.adapter(), 2).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_connection_on_any_server() {
    let (one, two) = two().await;
    for (issuer, user) in [(&one, &two), (&one, &one), (&two, &one)] {
        let ticket = issuer
            .ticket(json!({"client": "ann", "stayMs": 600_000, "events": ["gamePing"]}))
            .await;
        let mut client = user.show(&ticket).await.expect("good");
        assert_eq!(
            client.request("enterForeground", json!(null)).await,
            json!({"ok": true})
        );
        assert!(is_here(&user.server, "ann") && !is_here(&user.server, "eve"));
        assert_eq!(code(&client.request("matchRequest", json!(1)).await), "NOT_ALLOWED");
        for other in [&one, &two] {
            let (status, text) = other.show(&ticket).await.err().expect("used");
            assert!(status == 401 && text.contains("used already"), "{status} {text}");
        }
    }
    assert_eq!(one.refused("used_ticket") + two.refused("used_ticket"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_connections_with_one_ticket_at_the_same_moment_exactly_one_is_accepted() {
    let (one, two) = two().await;
    for _ in 0..20 {
        let ticket = one.ticket(json!({"client": "ann"})).await;
        let shown = [&one, &two, &two, &one].map(|edge| edge.show(&ticket));
        let shown = futures_util::future::join_all(shown).await;
        assert_eq!(shown.iter().filter(|knocked| knocked.is_ok()).count(), 1);
        for (status, text) in shown.into_iter().filter_map(Result::err) {
            assert!(status == 401 && text.contains("used already"), "{status} {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_ends_with_its_time_and_with_the_server_that_issued_it() {
    let (one, two) = two().await;
    let short = one.ticket(json!({"client": "ann", "ttlMs": 1})).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(two.show(&short).await.err().map(|(status, _)| status), Some(401));
    let lost = one.ticket(json!({"client": "ann"})).await;
    one.server.shut_down().await;
    sees(two.server.node.adapter(), 1).await;
    let (status, text) = two.show(&lost).await.err().expect("nobody to ask");
    assert!(
        status == 401 && text.contains("cannot be asked any more"),
        "{status} {text}"
    );
    assert_eq!(two.refused("lost_ticket"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_permitted_time_is_over() {
    let edge = Edge::start("edge", &bus()).await;
    let ticket = edge.ticket(json!({"client": "ann", "stayMs": 300})).await;
    let mut client = edge.show(&ticket).await.expect("good");
    assert_eq!(
        client.next().await,
        Received::Closed(Some((4011, "token expired".into())))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_ticket_is_rejected_without_asking_another_server() {
    let edge = Edge::start("edge", &bus()).await;
    let good = edge.ticket(json!({"client": "ann"})).await;
    let claims = json!({"iss": "edge", "jti": "1", "exp": now() + 60});
    let sign = |key: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("wsmesh-ticket".to_owned());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(key.as_bytes())).expect("signs")
    };
    for bad in ["nonsense", "..", &good[..good.len() - 2], &sign(KEY), &sign("another")] {
        let (status, text) = edge.show(bad).await.err().expect(bad);
        assert!(status == 401 && text.contains("not valid here"), "{status} {text}");
    }
    assert_eq!(edge.refused("bad_ticket"), 5);
    let (status, _) = knock(&edge.server, &format!("token={good}"), &[])
        .await
        .err()
        .expect("a ticket is not a token");
    assert_eq!(status, 401);
    assert!(edge.show(&good).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_told_what_to_write_and_strangers_get_nothing() {
    let edge = Edge::start("edge", &bus()).await;
    for key in ["", "wrong", &KEY[1..], &format!("{KEY}x")] {
        let (status, answer) = edge.ask(key, r#"{"client":"ann"}"#).await;
        assert_eq!(status, 401, "{answer}");
    }
    let long = format!(r#"{{"client":"{}"}}"#, "x".repeat(256));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"client":7}"#,
        r#"{"client":""}"#,
        r#"{"client":"ann","ttl":30}"#,
        r#"{"client":"ann","ttlMs":0}"#,
        r#"{"client":"ann","ttlMs":600001}"#,
        r#"{"client":"ann","rooms":["lobby"]}"#,
        r#"{"client":"ann","events":"all"}"#,
        &long,
    ] {
        let (status, answer) = edge.ask(KEY, bad).await;
        assert!(status == 400 && answer["error"].is_string(), "{bad}: {status} {answer}");
    }
    let (status, _) = edge
        .ask(KEY, &format!(r#"{{"client":"{}"}}"#, "x".repeat(20_000)))
        .await;
    assert_eq!(status, 413);
    let (status, answer) = edge.ask(KEY, r#"{"client":"ann"}"#).await;
    assert_eq!(status, 201);
    assert!(
        answer["expiresAt"].as_str().is_some_and(|time| time.ends_with('Z')),
        "{answer}"
    );
    edge.server.node.start_draining();
    assert_eq!(edge.ask(KEY, r#"{"client":"ann"}"#).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_may_list_the_rooms_that_its_client_publishes_to() {
    let (one, two) = two().await;
    let ticket = one.ticket(json!({"client": "ann", "publish": ["news:*"]})).await;
    let mut client = two.show(&ticket).await.expect("good");
    for (namespace, expected) in [("news", "none"), ("log", "NOT_ALLOWED")] {
        let message = json!({"namespace": namespace, "roomId": "7", "data": 1});
        assert_eq!(code(&client.request("publish", message).await), expected, "{namespace}");
    }
    let (status, _) = one.ask(KEY, r#"{"client":"ann","publish":["news"]}"#).await;
    assert_eq!(status, 400);
}
