//! A client that has closed its side of the TCP connection still gets its replies before the connection ends.

mod common;

use std::time::Duration;

use common::frame::frame;
use common::{Other, PATIENCE, Server, bus, demo, sees, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use ws_node::{EdgeSettings, Rule};
use wsmesh_adapter::{ClientId, Frame, Payload};
use wsmesh_protocol::forward::Forwarded;

const UPGRADE: &str = "GET /?id=ann HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The answer of the server to a client that sends these bytes and ends its side.
async fn all_of(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.raw().await;
    stream.write_all(bytes).await.expect("sends");
    stream.shutdown().await.expect("half-closes");
    rest_of(stream).await
}

async fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("closed by the server")
        .expect("not reset");
    String::from_utf8_lossy(&answer).into_owned()
}

fn asked(event: &str) -> Vec<u8> {
    let request = json!({"event": event, "payload": 1, "callbackId": "c"}).to_string();
    frame(0x81, request.as_bytes())
}

fn is_here(server: &Server) -> bool {
    server.node.adapter().is_here(&ClientId::new("ann").expect("valid"))
}

fn rule(reply: &str) -> Rule {
    serde_json::from_value(json!({"event": "work", "service": "worker", "reply": reply})).expect("a rule")
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_and_requests_in_a_websocket_are_answered_before_the_end() {
    let server = Server::alone(demo()).await;
    let page = all_of(&server, b"GET /chat HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        page.starts_with("HTTP/1.1 426 ") && page.ends_with("on any path\n"),
        "{page}"
    );
    for _ in 0..20 {
        let heard = all_of(&server, &[UPGRADE.as_bytes(), &asked("echo")].concat()).await;
        assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
        assert!(heard.contains(r#"{"payload":{"ok":true},"callbackId":"c"}"#), "{heard}");
    }
    until("nobody is left", || server.node.stats()()["connections"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_takes_its_time_is_waited_for() {
    for reply in ["relay", "direct"] {
        let bus = bus();
        let settings = EdgeSettings {
            rules: vec![rule(reply)].into(),
            // Long enough for a busy machine; with "direct" the server waits for all of it.
            request_timeout: Duration::from_secs(5),
            ..demo()
        };
        let server = Server::start("edge", &bus, settings).await;
        let worker = Other::start("worker", "worker", &bus).await;
        sees(server.node.adapter(), 2).await;
        let mut work = worker.adapter.listen("work");
        let mut stream = server.raw().await;
        let bytes = [UPGRADE.as_bytes(), &asked("work")].concat();
        stream.write_all(&bytes).await.expect("sends");
        stream.shutdown().await.expect("half-closes");
        let event = timeout(PATIENCE, work.next()).await.expect("comes").expect("listens");
        // The server sees the end of the stream, and checks whether anybody listens.
        let mut heard = Vec::new();
        let reading = async {
            while !heard.ends_with(b"\x89\x00") {
                assert_ne!(stream.read_buf(&mut heard).await.expect("reads"), 0, "{reply}: closed");
            }
        };
        timeout(PATIENCE, reading).await.expect("it is asked");
        if event.is_request() {
            event.reply(Payload::new(&"done").expect("JSON")).await.expect("sent");
        } else {
            let json = event.payload.to_json().expect("JSON");
            let asked: Forwarded = serde_json::from_slice(&json).expect("as agreed");
            let frame = wsmesh_protocol::frame::reply(asked.callback_id.expect("wanted"), "\"done\"");
            let client = asked.client.try_into().expect("valid");
            worker
                .adapter
                .to_client(&client, Frame::new(frame))
                .await
                .expect("sent");
        }
        let rest = rest_of(stream).await;
        assert!(
            rest.contains(r#"{"payload":"done","callbackId":"c"}"#),
            "{reply}: {rest}"
        );
        until("it is gone", || !is_here(&server)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_gone_altogether_is_not_kept_for_its_reply() {
    let bus = bus();
    let settings = EdgeSettings {
        rules: vec![rule("relay")].into(),
        request_timeout: Duration::from_secs(3600),
        ..demo()
    };
    let server = Server::start("edge", &bus, settings).await;
    let worker = Other::start("worker", "worker", &bus).await;
    sees(server.node.adapter(), 2).await;
    let mut work = worker.adapter.listen("work");
    let mut stream = server.raw().await;
    let bytes = [UPGRADE.as_bytes(), &asked("work")].concat();
    stream.write_all(&bytes).await.expect("sends");
    let _held = timeout(PATIENCE, work.next()).await.expect("comes").expect("listens");
    // Everything is read, so that the end is not a reset.
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut heard).await.expect("reads"), 0, "closed");
    }
    drop(stream);
    until("it is gone", || !is_here(&server)).await;
}
