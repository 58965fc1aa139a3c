//! Limits for one client, for one address and for all together.

mod common;

use std::time::Duration;

use common::{Client, PATIENCE, Received, Server, demo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use ws_node::{EdgeSettings, Limits};
use wsmesh_adapter::{ClientId, DeliveryRule, Frame, Policy, Scope};
use wsmesh_bootstrap::Tables;
use wsmesh_protocol::CloseCode;

fn limited(limits: Limits) -> EdgeSettings {
    EdgeSettings { limits, ..demo() }
}

fn no_limits() -> Limits {
    demo().limits
}

/// Asks for an upgrade; returns the answer.
async fn upgrade(server: &Server, id: &str, more: &str) -> String {
    let mut stream = server.raw().await;
    let request = format!(
        "GET /?id={id} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = Vec::new();
    let _end = timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_says_when_to_try_again_and_accepts_clients_when_others_have_left() {
    let limits = Limits {
        connections: 2,
        ..no_limits()
    };
    let server = Server::alone(limited(limits)).await;
    let _one = server.client("one").await.settled().await;
    let two = server.client("two").await.settled().await;
    let refused = upgrade(&server, "three", "").await;
    let (_, wait) = refused.split_once("retry-after: ").expect("a time");
    let wait: u64 = wait.lines().next().and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!(
        refused.starts_with("http/1.1 503") && (10..=30).contains(&wait),
        "{refused}"
    );
    assert!(refused.contains("has reached its limit of clients"));
    drop(two);
    common::until("it is gone", || server.node.stats()()["connections"] == 1).await;
    server.client("three").await.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_share_and_only_a_trusted_proxy_may_name_it() {
    let limits = |trusted: &[&str]| Limits {
        connections_per_address: 1,
        trusted_proxies: trusted.iter().map(|net| net.parse().expect("a network")).collect(),
        ..no_limits()
    };
    let server = Server::alone(limited(limits(&[]))).await;
    let _one = server.client("one").await.settled().await;
    let refused = upgrade(&server, "two", "X-Forwarded-For: 192.0.2.9\r\n").await;
    assert!(
        refused.starts_with("http/1.1 429") && refused.contains("retry-after"),
        "{refused}"
    );
    let behind = Server::alone(limited(limits(&["127.0.0.0/8"]))).await;
    let mut held = Vec::new();
    for (client, address, status) in [
        ("one", "192.0.2.1", "101"),
        ("two", "192.0.2.2", "101"),
        ("three", "192.0.2.1", "429"),
    ] {
        let mut stream = behind.raw().await;
        let request = format!(
            "GET /?id={client} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: {address}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut start = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut start))
            .await
            .expect("answers")
            .expect("reads");
        assert_eq!(
            String::from_utf8_lossy(&start),
            format!("HTTP/1.1 {status}"),
            "{client}"
        );
        held.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_too_fast_are_told_to_wait() {
    let limits = Limits {
        accept_rate: 5,
        ..no_limits()
    };
    let server = Server::alone(limited(limits)).await;
    let mut answers = Vec::new();
    for number in 0..12 {
        answers.push(
            Client::connect(&format!("ws://{}/?id={number}", server.address))
                .await
                .map(drop),
        );
    }
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert!((4..=7).contains(&refused), "{refused} of 12");
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.client("later").await.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_fast_is_refused_and_then_closed() {
    let limits = Limits {
        events_per_second: Some(10),
        events_burst: 20,
        ..no_limits()
    };
    let server = Server::alone(limited(limits)).await;
    let mut client = server.client("ann").await.settled().await;
    for number in 0..30 {
        client
            .send(json!({"event": "echo", "payload": null, "callbackId": number.to_string()}).to_string())
            .await;
    }
    let mut codes = Vec::new();
    for _ in 0..30 {
        codes.push(client.frame().await["payload"]["errorCode"].clone());
    }
    let refused = codes.iter().filter(|code| **code == json!("RATE_LIMITED")).count();
    assert!((9..=11).contains(&refused), "{codes:?}");
    // After a while it may send again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.request("echo", Value::Null).await, json!({"ok": true}));
    for _ in 0..100 {
        client.send("").await;
    }
    loop {
        match client.next().await {
            Received::Closed(frame) => {
                let (code, reason) = frame.expect("a reason");
                assert_eq!(
                    (code, CloseCode::parse_delay(&reason).is_some()),
                    (4015, true),
                    "{reason}"
                );
                break;
            }
            Received::Frame(_) | Received::Text(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_rooms_of_a_client_is_limited() {
    let limits = Limits {
        rooms_per_client: 2,
        ..no_limits()
    };
    let server = Server::alone(limited(limits)).await;
    let mut client = server.client("ann").await.settled().await;
    for (room, joined) in [("1", true), ("2", true), ("1", true), ("3", false)] {
        let reply = client.request("joinRoom", json!({"roomId": room})).await;
        assert_eq!(reply["errorCode"] == "NOT_ALLOWED", !joined, "{room}: {reply}");
    }
    client.request("leaveRoom", json!({"roomId": "1"})).await;
    assert_eq!(
        client.request("joinRoom", json!({"roomId": "3"})).await,
        json!({"msg": "joined"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_the_latest_state_loses_what_may_be_dropped_and_is_not_closed() {
    let rule = |event: &str, policy, key: Option<&str>| DeliveryRule {
        event: event.to_owned(),
        policy,
        key: key.map(str::to_owned),
    };
    let settings = EdgeSettings {
        outbox_bytes: 256 * 1024,
        outbox_frames: 100_000,
        delivery: Tables(vec![
            rule("move", Policy::Latest, Some("/player")),
            rule("typing", Policy::MayDrop, None),
        ]),
        write_timeout: Duration::from_secs(60),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let mut client = server.client("slow").await.settled().await;
    let (adapter, id) = (server.node.adapter(), ClientId::new("slow").expect("valid"));
    let filler = "x".repeat(16 * 1024);
    // Far more than the kernel and the outbox hold together; the client does not read.
    for number in 0..2_000 {
        for player in ["ann", "bob"] {
            let payload = json!({"player": player, "number": number, "filler": filler});
            let frame = Frame::new(json!({"event": "move", "payload": payload}).to_string());
            adapter.to_client(&id, frame).await.expect("sent");
        }
        let frame = Frame::new(json!({"event": "typing", "payload": filler}).to_string());
        adapter.to_everyone(frame, Scope::Local).await.expect("sent");
    }
    adapter
        .to_client(&id, Frame::new(r#"{"event":"say","payload":"the end"}"#))
        .await
        .expect("sent");
    let (mut moves, mut typing, mut last) = (0, 0, json!({}));
    loop {
        let frame = client.frame().await;
        match frame["event"].as_str() {
            Some("move") => {
                moves += 1;
                last[frame["payload"]["player"].as_str().expect("a player")] = frame["payload"]["number"].clone();
            }
            Some("typing") => typing += 1,
            _ => break,
        }
    }
    assert_eq!(last, json!({"ann": 1999, "bob": 1999}), "the latest of each");
    assert!(moves < 3_000 && typing < 1_500, "{moves} moves, {typing} typing");
    assert_eq!(server.node.stats()()["slowClientsClosed"], 0);
}
