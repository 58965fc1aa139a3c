//! How connections end when a client is slow, silent or away, and when the server stops.

mod common;

use std::time::Duration;

use common::{PATIENCE, Received, Server, demo};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use ws_node::EdgeSettings;
use wsmesh_adapter::{ClientId, Frame, Scope};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_too_slowly_is_closed_while_the_others_are_served() {
    let settings = EdgeSettings {
        outbox_bytes: 256 * 1024,
        outbox_frames: 100_000,
        close_timeout: Duration::from_secs(5),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let mut slow = server.client("slow").await.settled().await;
    let mut other = server.client("other").await.settled().await;
    let frame = Frame::new(format!(r#"{{"event":"say","payload":"{}"}}"#, "x".repeat(16 * 1024)));
    let mut frames = 0;
    // The kernel's buffer for the slow client is limited, too; by default it is more than 2 MiB.
    while server.node.stats()()["slowClientsClosed"] == 0 {
        server
            .node
            .adapter()
            .to_everyone(frame.clone(), Scope::Local)
            .await
            .expect("sends");
        assert_eq!(other.frame().await["event"], "say");
        frames += 1;
        assert!(frames < 64, "not closed after 1 MiB");
    }
    assert_eq!(slow.close_code().await, Some(4013));
    assert_eq!(other.request("echo", json!(1)).await, json!({"ok": true}));
}

fn of_one_shard_with_a_mebibyte_for_all() -> EdgeSettings {
    EdgeSettings {
        shards: 1,
        outbox_total_bytes: 1 << 20,
        close_timeout: Duration::from_millis(200),
        ..demo()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_outboxes_hold_too_much_the_slowest_clients_are_closed_and_the_others_stay() {
    let server = Server::alone(of_one_shard_with_a_mebibyte_for_all()).await;
    let adapter = server.node.adapter();
    let send = async |client: &str, bytes: usize| {
        let payload = format!("{client}{}", "x".repeat(bytes));
        let frame = Frame::new(json!({"event": "say", "payload": payload}).to_string());
        let id = ClientId::new(client).expect("valid");
        adapter.to_client(&id, frame).await.expect("sent");
    };
    let (mut slow, mut slower) = (Vec::new(), server.client("slower").await.settled().await);
    for number in 0..8 {
        slow.push(server.client(&format!("slow{number}")).await.settled().await);
    }
    // The kernel's buffers are full first. Half of what all may hold waits then.
    for number in 0..8 {
        for _ in 0..20 {
            send(&format!("slow{number}"), 16 * 1024).await;
        }
    }
    assert_eq!(server.node.stats()()["slowClientsClosed"], 0);
    let mut sent = 0;
    while server.node.stats()()["slowClientsClosed"] == 0 {
        send("slower", 64 * 1024).await;
        sent += 1;
        assert!(sent < 100, "nobody is closed after 6 MiB");
    }
    assert_eq!(slower.close_code().await, Some(4013));
    assert_eq!(server.node.stats()()["slowClientsClosed"], 1, "only the slowest");
    for client in &mut slow {
        for _ in 0..20 {
            assert_eq!(client.frame().await["event"], "say");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_many_slow_clients_wait_for_counts_once() {
    let server = Server::alone(of_one_shard_with_a_mebibyte_for_all()).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(server.client(&format!("c{number}")).await.settled().await);
    }
    let frame = || Frame::new(json!({"event": "say", "payload": "x".repeat(16 * 1024)}).to_string());
    // Each holds more than a twentieth of what all may hold; together it is a third.
    for _ in 0..24 {
        let sent = server.node.adapter().to_everyone(frame(), Scope::Local).await;
        sent.expect("sent");
    }
    for client in &mut clients {
        for _ in 0..24 {
            assert_eq!(client.frame().await["event"], "say");
        }
    }
    assert_eq!(server.node.stats()()["slowClientsClosed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_is_given_up_although_its_outbox_is_not_full() {
    let times = Duration::from_millis(200);
    let settings = EdgeSettings {
        outbox_bytes: 64 << 20,
        outbox_frames: 100_000,
        write_timeout: times,
        close_timeout: times,
        ..demo()
    };
    let server = Server::alone(settings).await;
    let stalled = server.client("stalled").await.settled().await;
    let frame = Frame::new(format!(r#"{{"event":"say","payload":"{}"}}"#, "x".repeat(1 << 20)));
    for _ in 0..16 {
        server
            .node
            .adapter()
            .to_everyone(frame.clone(), Scope::Local)
            .await
            .expect("sends");
    }
    common::until("it is given up", || server.node.stats()()["connections"] == 0).await;
    assert_eq!(server.node.stats()()["slowClientsClosed"], 1);
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_frames_keep_their_order_through_a_slow_stream() {
    let settings = EdgeSettings {
        outbox_bytes: 64 << 20,
        outbox_frames: 100_000,
        ..demo()
    };
    let server = Server::alone(settings).await;
    let mut client = server.client("ann").await.settled().await;
    for n in 0..2000 {
        let filler = "x".repeat(if n % 3 == 0 { 20_000 } else { 10 });
        let frame = Frame::new(json!({"event": "n", "payload": [n, filler]}).to_string());
        server
            .node
            .adapter()
            .to_everyone(frame, Scope::Local)
            .await
            .expect("sends");
    }
    for n in 0..2000 {
        assert_eq!(client.frame().await["payload"][0], n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_the_background_is_closed_unless_it_comes_back() {
    let settings = EdgeSettings {
        enter_background_close: Duration::from_millis(500),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let mut back = server.client("back").await.settled().await;
    let mut away = server.client("away").await.settled().await;
    away.emit("enterBackground", json!(null)).await;
    back.emit("enterBackground", json!(null)).await;
    back.emit("enterForeground", json!(null)).await;
    assert_eq!(
        away.next().await,
        Received::Closed(Some((1001, "in the background".into())))
    );
    assert_eq!(back.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_answers_no_ping_is_dropped_and_one_that_does_is_kept() {
    let interval = Duration::from_millis(300);
    let settings = EdgeSettings {
        ping_interval: interval,
        close_timeout: interval,
        ..demo()
    };
    let server = Server::alone(settings).await;
    // A client that is never polled does not answer pings.
    let silent = server.client("silent").await.settled().await;
    let mut alive = server.client("alive").await.settled().await;
    let mut pings = 0;
    while pings < 4 {
        match timeout(PATIENCE, alive.socket.next()).await.expect("something comes") {
            Some(Ok(Message::Ping(_))) => pings += 1,
            other => panic!("not a ping: {other:?}"),
        }
    }
    common::until("the silent one is gone", || server.node.stats()()["connections"] == 1).await;
    assert_eq!(alive.request("echo", json!(1)).await, json!({"ok": true}));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_leaves_no_client_behind() {
    let server = Server::alone(demo()).await;
    let client = server.client("ann").await.settled().await;
    assert_eq!(server.node.adapter().client_count(), 1);
    let tokio_tungstenite::MaybeTlsStream::Plain(mut stream) = client.socket.into_inner() else {
        panic!("plain")
    };
    stream.shutdown().await.expect("half closes");
    common::until("it is gone", || server.node.adapter().client_count() == 0).await;
    assert_eq!(server.node.stats()()["connections"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_gets_its_code_back() {
    let server = Server::alone(demo()).await;
    let mut client = server.client("ann").await.settled().await;
    let bye = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4001.into(),
        reason: "bye".into(),
    };
    client.socket.send(Message::Close(Some(bye))).await.expect("sends");
    assert_eq!(client.close_code().await, Some(4001));
    common::until("it is gone", || server.node.adapter().client_count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_sends_every_client_elsewhere_and_ends() {
    let server = Server::alone(demo()).await;
    let mut clients = Vec::new();
    for id in 0..20 {
        clients.push(server.client(&id.to_string()).await.settled().await);
    }
    let ready = server.node.readiness();
    assert_eq!(ready(), Ok(()));
    let address = server.address;
    let ending = tokio::spawn(server.shut_down());
    for client in &mut clients {
        let Received::Closed(Some((code, reason))) = client.next().await else {
            panic!("no close frame")
        };
        assert_eq!(code, 1012);
        let delay = reason
            .strip_prefix("retry-after-ms=")
            .and_then(|delay| delay.parse::<u64>().ok());
        assert!(delay.is_some_and(|delay| delay <= 5000), "{reason}");
    }
    timeout(PATIENCE, ending).await.expect("ends").expect("no panic");
    assert!(ready().is_err());
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "still listening"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_the_close_does_not_hold_up_the_shutdown() {
    let server = Server::alone(EdgeSettings {
        close_timeout: Duration::from_millis(200),
        ..demo()
    })
    .await;
    let _ignorant = server.client("ann").await.settled().await;
    timeout(PATIENCE, server.shut_down()).await.expect("ends in time");
}
