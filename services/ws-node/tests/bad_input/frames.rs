//! Frames of a connection that is upgraded.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::common::frame::frame;
use super::common::{self, PATIENCE, Server, demo};
use super::upgraded;

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
async fn too_many_waiting_requests_are_refused_and_the_others_are_still_answered() {
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
        matches!(client.next().await, common::Received::Text(text) if text.is_empty()),
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
