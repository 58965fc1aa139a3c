//! What a client should not send: each ends in a clear error, and nobody else notices.

mod common;

use std::time::Duration;

use common::frame::frame;
use common::{Client, PATIENCE, Server, demo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use ws_node::EdgeSettings;
use wsmesh_bootstrap::{Secret, SecretFile};

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

const UPGRADE: &str = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";

/// An upgraded connection, as bytes.
async fn upgraded(server: &Server, id: &str) -> TcpStream {
    let mut stream = server.raw().await;
    let request = format!("GET /?id={id} HTTP/1.1\nHost: x\n{UPGRADE}\n").replace('\n', "\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            timeout(PATIENCE, stream.read_u8())
                .await
                .expect("answers")
                .expect("reads"),
        );
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// The code of the close frame that answers these bytes; the connection is closed after it.
async fn close_code_after(server: &Server, bytes: &[u8]) -> Option<u16> {
    let mut stream = upgraded(server, "bad").await;
    stream.write_all(bytes).await.expect("sends");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("closes")
        .expect("not reset");
    let close = answer.iter().position(|&byte| byte == 0x88)?;
    Some(u16::from_be_bytes([*answer.get(close + 2)?, *answer.get(close + 3)?]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_upgrade_is_refused_with_a_status_and_a_reason() {
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
async fn frames_that_break_the_websocket_protocol_close_with_their_code() {
    let server = Server::alone(demo()).await;
    let mut bystander = server.client("bystander").await.settled().await;
    let nested = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
    for (bytes, code) in [
        (frame(0x82, b"no text: \xff"), 1003),
        (frame(0x81, b"\xff\xfe"), 1007),
        (frame(0x81, &vec![b'x'; 64 * 1024 + 1]), 1009),
        (
            [frame(0x01, &[b'x'; 40_000]), frame(0x80, &[b'x'; 40_000])].concat(),
            1009,
        ),
        (b"\x81\x02hi".to_vec(), 1002),
        (frame(0xf1, b"hi"), 1002),
        (frame(0x83, b"hi"), 1002),
        (frame(0x09, b"hi"), 1002),
        (nested, 1002),
        (frame(0x88, b"\x03\xe8"), 1000),
        (frame(0x88, b"\x03\xed"), 1002),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
    ] {
        assert_eq!(
            close_code_after(&server, &bytes).await,
            Some(code),
            "{:02x?}",
            &bytes[..8.min(bytes.len())]
        );
    }
    assert_eq!(bystander.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_client_protocol_do_not_end_the_connection() {
    let server = Server::alone(demo()).await;
    let mut client = server.client("ann").await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [
        "{".to_owned(),
        "null".into(),
        "[]".into(),
        "\"say\"".into(),
        "{}".into(),
        json!({"event": 7, "payload": 1}).to_string(),
        json!({"event": "", "payload": 1}).to_string(),
        json!({"event": "nobody handles this", "payload": 1}).to_string(),
        json!({"event": "command", "payload": [{"action": {}}]}).to_string(),
        json!({"payload": 1, "requestId": "unknown"}).to_string(),
        deep(1000),
        format!(r#"{{"event":"command","payload":{}}}"#, deep(1000)),
        format!(r#"{{"event":"matchInput","payload":{}}}"#, deep(1000)),
    ] {
        client.send(text).await;
    }
    assert_eq!(client.request("echo", json!(1)).await, json!({"ok": true}));

    assert_eq!(
        client.request("nobody handles this", json!(1)).await["errorCode"],
        "UNKNOWN_EVENT"
    );
    assert_eq!(client.request("command", json!("x")).await["errorCode"], "BAD_PAYLOAD");
    assert_eq!(
        client.request("joinRoom", json!({"roomId": "x".repeat(256)})).await["errorCode"],
        "BAD_PAYLOAD"
    );
    let other_namespace = json!({"roomId": "1", "namespace": "match"});
    assert_eq!(
        client.request("joinRoom", other_namespace).await["errorCode"],
        "NOT_ALLOWED"
    );
    assert_eq!(client.request("gamePing", json!(1)).await["errorCode"], "UNAVAILABLE");
    client
        .send(format!(
            r#"{{"event":"command","payload":{},"callbackId":"deep"}}"#,
            deep(1000)
        ))
        .await;
    let refused = client.frame().await;
    assert_eq!(
        (&refused["callbackId"], &refused["payload"]["errorCode"]),
        (&json!("deep"), &json!("BAD_PAYLOAD"))
    );
    client
        .send(json!({"event": 7, "payload": 1, "callbackId": "bad"}).to_string())
        .await;
    let refused = client.frame().await;
    assert_eq!(
        (&refused["callbackId"], &refused["payload"]["errorCode"]),
        (&json!("bad"), &json!("BAD_FRAME"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_pieces_with_a_ping_between_them_is_understood() {
    let server = Server::alone(demo()).await;
    let mut stream = upgraded(&server, "ann").await;
    let text = br#"{"event":"echo","payload":1,"callbackId":"x"}"#;
    let bytes = [
        frame(0x01, &text[..10]),
        frame(0x89, b"hi"),
        frame(0x00, b""),
        frame(0x80, &text[10..]),
    ]
    .concat();
    for byte in bytes {
        stream.write_all(&[byte]).await.expect("sends");
    }
    let reply = br#"{"payload":{"ok":true},"callbackId":"x"}"#;
    let expected = [b"\x8a\x02hi\x81", &[reply.len() as u8][..], reply].concat();
    let mut answer = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer))
        .await
        .expect("answers")
        .expect("reads");
    assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_along_with_the_upgrade_request_is_not_lost() {
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
async fn a_request_head_that_does_not_come_is_given_up() {
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
async fn too_many_waiting_requests_are_refused_and_the_others_still_answered() {
    let bus = common::bus();
    let server = Server::start("edge", &bus, demo()).await;
    let logic = common::Other::start("logic", "game-logic", &bus).await;
    common::sees(server.node.adapter(), 2).await;
    let mut held = logic.adapter.listen("gamePing");
    let mut client = server.client("ann").await.settled().await;
    for id in 0..100 {
        let request = json!({"event": "gamePing", "payload": id, "callbackId": id.to_string()});
        client.send(request.to_string()).await;
    }
    let mut refused = 0;
    while refused < 36 {
        let frame = client.frame().await;
        assert_eq!(frame["payload"]["errorCode"], "OVERLOADED");
        refused += 1;
    }
    assert_eq!(client.request("echo", json!(1)).await["errorCode"], "OVERLOADED");
    client.send("").await;
    assert!(
        matches!(client.next().await, common::Heard::Text(text) if text.is_empty()),
        "heartbeats go on"
    );
    for _ in 0..64 {
        let event = timeout(PATIENCE, held.next()).await.expect("comes").expect("listens");
        let reply = wsmesh_adapter::Payload::new(&json!("pong")).expect("JSON");
        event.reply(reply).await.expect("sends");
    }
    for _ in 0..64 {
        assert_eq!(client.frame().await["payload"], "pong");
    }
    assert_eq!(client.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn production_lets_nobody_in_without_a_token_and_has_no_demo_events() {
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

/// What comes in answer to these bytes until the server ends the connection.
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
async fn what_is_no_request_is_answered_at_once() {
    let settings = EdgeSettings {
        // Longer than anything is waited for here.
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
