//! HTTP requests and upgrades.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use ws_node::EdgeSettings;
use wsmesh_bootstrap::{Secret, SecretFile};

use super::UPGRADE;
use super::common::frame::frame;
use super::common::{Client, PATIENCE, Server, demo};

/// Sends a request and reads until the end of the head, or of the stream.
async fn ask(server: &Server, request: &str) -> String {
    let mut stream = server.raw().await;
    stream
        .write_all(request.replace('\n', "\r\n").as_bytes())
        .await
        .expect("sends");
    let mut answer = Vec::new();
    let reading = async {
        while !answer.windows(4).any(|part| part == b"\r\n\r\n")
            && stream.read_buf(&mut answer).await.expect("reads") > 0
        {}
    };
    timeout(PATIENCE, reading).await.expect("answers or closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to these bytes until the server ends the connection.
async fn answer_to(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.raw().await;
    stream.write_all(bytes).await.expect("sends");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("answered and closed")
        .expect("not reset");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_upgrade_is_rejected_with_a_status_and_a_reason() {
    let server = Server::alone(demo()).await;
    let good = format!("GET /?id=7 HTTP/1.1\nHost: x\n{UPGRADE}\n");
    assert!(
        ask(&server, &good)
            .await
            .contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    let long = format!("GET /?id={} HTTP/1.1\nHost: x\n{UPGRADE}\n", "x".repeat(256));
    for (request, status) in [
        (good.replace("?id=7", ""), "400"),
        (long, "400"),
        (good.replace("?id=7", "?id=%00"), "400"),
        (good.replace("GET", "POST"), "400"),
        (good.replace("Connection: Upgrade\n", ""), "400"),
        (good.replace("Upgrade: websocket\n", ""), "400"),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400"),
        (good.replace("Version: 13", "Version: 8"), "426"),
        ("GET / HTTP/1.1\nHost: x\n\n".to_owned(), "200"),
        ("GET /chat HTTP/1.1\nHost: x\n\n".to_owned(), "426"),
        ("DELETE /chat HTTP/1.1\nHost: x\n\n".to_owned(), "405"),
        ("nonsense\n\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\nHost: x\nX: {}\n\n", "x".repeat(40_000)), "431"),
    ] {
        let answer = ask(&server, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:.80} → {answer}"
        );
    }
    match Client::connect(&format!("ws://{}/?id={}", server.address, "x".repeat(256)))
        .await
        .err()
    {
        Some(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            assert_eq!(
                String::from_utf8_lossy(&body),
                "client id has 256 bytes: at most 255 are allowed\n"
            );
        }
        other => panic!("not refused as it should be: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_come_along_with_the_upgrade_request_are_not_lost() {
    let server = Server::alone(demo()).await;
    let mut stream = server.raw().await;
    let mut bytes = format!("GET /?id=7 HTTP/1.1\nHost: x\n{UPGRADE}\n")
        .replace('\n', "\r\n")
        .into_bytes();
    bytes.extend(frame(0x81, br#"{"event":"say","payload":"early"}"#));
    stream.write_all(&bytes).await.expect("sends");
    let mut answer = Vec::new();
    let pushed = br#"{"event":"say","payload":"early"}"#;
    let reading = async {
        while !answer.windows(pushed.len()).any(|part| part == pushed) {
            assert_ne!(stream.read_buf(&mut answer).await.expect("reads"), 0, "closed");
        }
    };
    timeout(PATIENCE, reading).await.expect("the early frame is handled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_head_is_given_up() {
    let settings = EdgeSettings {
        handshake_timeout: Duration::from_millis(100),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let mut stream = server.raw().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        .await
        .expect("sends");
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed");
    assert!(
        ended.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{rest:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn production_accepts_no_client_without_a_token_and_has_no_demo_events() {
    let key = SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef"));
    let settings = EdgeSettings {
        shards: 1,
        ..EdgeSettings::production(key.clone())
    };
    let server = Server::alone(settings).await;
    for query in ["id=888", "token=nonsense", "id=888&token="] {
        match Client::connect(&format!("ws://{}/?{query}", server.address))
            .await
            .err()
        {
            Some(Error::Http(response)) => assert_eq!(response.status(), 401, "{query}"),
            other => panic!("{query} was not refused: {other:?}"),
        }
    }
    let token = ws_node::mint_token(&key, "888", Duration::from_secs(60)).expect("mints");
    let mut client = Client::connect(&format!("ws://{}/?token={token}", server.address))
        .await
        .expect("upgrades");
    for event in ["echo", "say", "command", "gamePing"] {
        assert_eq!(
            client.request(event, json!({})).await["errorCode"],
            "UNKNOWN_EVENT",
            "{event}"
        );
    }
    assert!(
        server
            .node
            .adapter()
            .is_here(&wsmesh_adapter::ClientId::new("888").expect("valid"))
    );
    let page = ask(&server, "GET /playground/main.js HTTP/1.1\nHost: x\n\n").await;
    assert!(page.starts_with("HTTP/1.1 426 "), "no playground: {page}");
    let stats: Value = server.node.stats()();
    assert!(stats["connections"].is_number(), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_not_upgraded_is_closed_after_its_answer() {
    let server = Server::alone(demo()).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?id= HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\n\r\n",
    ] {
        let mut stream = server.raw().await;
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        ended.expect("it stays and takes the place of another").expect("reads");
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_a_request_are_answered_at_once() {
    let settings = EdgeSettings {
        // Longer than any wait of this test.
        handshake_timeout: Duration::from_secs(60),
        ..demo()
    };
    let server = Server::alone(settings).await;
    for (bytes, why) in [
        // The beginning of a ClientHello: what wss:// sends.
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "not TLS"),
        (b"GET / HTTP/1.1\nHost: x\n\n", "CR LF"),
        (b"GET / HTTP/1.1\r\nHost: x\n\n", "CR LF"),
        (b"\x00\x00\x00\x01", "not an HTTP request"),
    ] {
        let answer = answer_to(&server, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:02x?}: {answer}");
        assert!(answer.contains(why), "{bytes:02x?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_finds_at_the_root_whether_clients_should_be_sent_here() {
    let key = SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef"));
    let server = Server::alone(EdgeSettings {
        shards: 1,
        ..EdgeSettings::production(key)
    })
    .await;
    for method in ["GET", "HEAD"] {
        let answer = answer_to(
            &server,
            format!("{method} /?from=lb HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(!answer.contains("edge"), "no details: {answer}");
    }
    server.node.start_draining();
    let answer = answer_to(&server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
