//! Bad input of clients: it gets a clear answer, nothing panics, and other clients are not affected.

use e2e::{Client, Cluster};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn invalid_frames_are_answered_or_counted_and_the_connection_stays_open() {
    let cluster = Cluster::start(1, 1, 1).await;
    let mut client = cluster.client(0, "bad").await;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let (long, long_id) = ("x".repeat(65), "x".repeat(256));
    for text in [
        "hello",
        "[]",
        "{\"event\":",
        "{}",
        "{\"event\":7}",
        "{\"event\":\"\"}",
        "{\"event\":\"nobody handles this\"}",
        "{\"event\":\"say\",\"callbackId\":7}",
        &format!("{{\"event\":\"say\",\"callbackId\":\"{long}\"}}"),
        &format!("{{\"event\":\"gamePing\",\"payload\":{deep}}}"),
        &format!("{{\"event\":\"command\",\"payload\":{deep}}}"),
        &format!("{{\"payload\":{deep}}}"),
    ] {
        client.send(text).await;
        assert!(client.is_served().await, "after {text}");
    }
    for (event, payload, code) in [
        ("nobody handles this", json!({}), "UNKNOWN_EVENT"),
        ("joinRoom", json!({}), "BAD_PAYLOAD"),
        ("joinRoom", json!({"roomId": long_id}), "BAD_PAYLOAD"),
        (
            "joinRoom",
            json!({"roomId": "1", "namespace": "not-open"}),
            "NOT_ALLOWED",
        ),
        ("joinRoom", json!([1, 2]), "BAD_PAYLOAD"),
        ("command", json!({"action": "explode"}), "BAD_PAYLOAD"),
        (
            "command",
            json!({"action": "toPlayer", "toPlayerId": long_id, "msg": 1}),
            "BAD_PAYLOAD",
        ),
        ("matchRequest", json!({"rating": "high"}), "BAD_PAYLOAD"),
        ("matchRequest", json!({"mode": "no such mode"}), "BAD_PAYLOAD"),
        (
            "matchInput",
            json!({"match": "no such match", "direction": {"x": 1, "y": 0}}),
            "NOT_FOUND",
        ),
    ] {
        let refused = client.request(event, payload.clone()).await;
        assert_eq!(refused["errorCode"], code, "{event} {payload}: {refused}");
        assert!(
            refused["error"].as_str().is_some_and(|text| text.len() > 8),
            "{refused}"
        );
    }
    let metrics = cluster.nodes[0].ops("/metrics").await;
    assert!(
        metrics.contains("kind=\"invalid\""),
        "bad frames are counted:\n{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_break_the_rules_end_their_own_connection_with_the_right_code() {
    let cluster = Cluster::start(1, 1, 1).await;
    let mut bystander = cluster.client(0, "bystander").await;
    let huge = Message::text("x".repeat(1 << 20));
    for (message, code) in [(huge, 1009), (Message::binary(vec![1, 2, 0xff]), 1003)] {
        let mut client = cluster.client(0, "bad").await;
        client.send_message(message).await;
        assert_eq!(client.closed().await.expect("a close frame").0, code);
        assert!(bystander.is_served().await);
    }
    for (frame, code) in [
        // A masked text frame that is not UTF-8; an unmasked one; a reserved opcode; a fragmented ping.
        (&b"\x81\x82\0\0\0\0\xff\xfe"[..], 1007_u16),
        (b"\x81\x01x", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x09\x80\0\0\0\0", 1002),
    ] {
        let mut socket = upgraded(cluster.nodes[0].port, "raw").await;
        socket.write_all(frame).await.expect("written");
        let mut answer = Vec::new();
        e2e::soon("the server ends it", socket.read_to_end(&mut answer))
            .await
            .expect("readable");
        let close = answer.windows(4).find(|bytes| bytes[0] == 0x88).expect("a close frame");
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), code, "{frame:x?}");
        assert!(bystander.is_served().await);
    }
    drop(upgraded(cluster.nodes[0].port, "half").await);
    assert!(bystander.is_served().await);
}

/// A raw socket behind a finished upgrade.
async fn upgraded(port: u16, id: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    let request = format!(
        "GET /?id={id} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("the response's head"));
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_in_is_told_before_the_upgrade() {
    let cluster = Cluster::start(1, 1, 1).await;
    let url = cluster.nodes[0].ws();
    let long = "x".repeat(256);
    for (query, expected) in [("", "id"), ("?id=", "id"), (&*format!("?id={long}"), "255")] {
        let refused = Client::try_connect(&format!("{url}{query}"))
            .await
            .expect_err("refused");
        assert!(
            refused.starts_with("400") || refused.starts_with("401"),
            "{query}: {refused}"
        );
        assert!(refused.contains(expected), "{query}: {refused}");
    }
    let mut slow = TcpStream::connect(("127.0.0.1", cluster.nodes[0].port))
        .await
        .expect("connects");
    slow.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("written");
    assert!(cluster.client(0, "ann").await.is_served().await);
}
