//! Handlers for what happens to connections: logged in, gone, wrong, a pong, raw messages.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use ws_node::{Client, ClosedBy, EdgeSettings, Handling, RawMessage, Refusal};

use crate::common::{PATIENCE, Received, demo, until};
use crate::support::{Notes, code, server, server_with};

/// A handler that notes when a client comes, and what it does.
macro_rules! noting {
    ($notes:expr, |$($argument:ident),*| $note:expr) => {{
        let notes = $notes.clone();
        move |$($argument),*| {
            notes.add($note);
            async {}
        }
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connections_handlers_run_in_the_order_of_its_life() {
    let notes = Notes::default();
    let server = server(|node| {
        let slow = notes.clone();
        node.on_connection(move |client| {
            let notes = slow.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                notes.add(format!("{} comes", client.id()));
            }
        })
        .on(
            "say",
            noting!(notes, |client, text| format!(
                "{} says {}",
                Client::id(&client),
                Value::to_string(&text)
            )),
        )
        .on_close(noting!(notes, |client, closed| format!(
            "{} goes: {closed:?}",
            client.id()
        )))
    })
    .await;
    let mut ann = server.client("ann").await;
    ann.emit("say", json!(1)).await;
    ann.emit("say", json!(2)).await;
    let bye = CloseFrame {
        code: 4001.into(),
        reason: "see you".into(),
    };
    ann.socket.close(Some(bye)).await.expect("sends");
    let expected = [
        "ann comes",
        "ann says 1",
        "ann says 2",
        r#"ann goes: Closed { code: Some(4001), reason: "see you", by: Client }"#,
    ];
    assert_eq!(notes.first(4).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_handler_learns_who_ended_the_connection_and_why() {
    let notes = Notes::default();
    let server = server(|node| {
        node.on("out", |client: Client, _: Value| async move {
            client.disconnect(4002, "out").await.expect("a good code");
        })
        .on_close(noting!(notes, |client, closed| format!(
            "{} {:?} {:?} by {}",
            client.id(),
            closed.code,
            closed.reason,
            if closed.by == ClosedBy::Server {
                "server"
            } else {
                "client"
            }
        )))
    })
    .await;
    let mut kicked = server.client("kicked").await;
    kicked.emit("out", json!(null)).await;
    assert_eq!(kicked.close_code().await, Some(4002));
    assert_eq!(notes.first(1).await[0], r#"kicked Some(4002) "out" by server"#);
    let lost = server.client("lost").await.settled().await;
    drop(lost);
    assert_eq!(notes.first(2).await[1], r#"lost None "" by client"#);
    let former = server.client("twice").await.settled().await;
    let _later = server.client("twice").await.settled().await;
    drop(former);
    assert!(
        notes.first(3).await[2].starts_with("twice Some(4012)"),
        "{:?}",
        notes.all()
    );
    let mut stays = server.client("stays").await.settled().await;
    let (_, closed) = tokio::join!(server.shut_down_within(PATIENCE), stays.close_code());
    assert_eq!(closed, Some(1012));
    let all = notes.all();
    assert!(
        all.iter().any(|note| note.starts_with("stays Some(1012)")),
        "told before the end: {all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_handler_learns_of_frames_that_cannot_be_read_and_of_violations() {
    let notes = Notes::default();
    let server =
        server(|node| node.on_error(noting!(notes, |client, fault| format!("{} {fault:?}", client.id())))).await;
    let mut ann = server.client("ann").await;
    ann.send("not a frame").await;
    assert!(notes.first(1).await[0].starts_with("ann BadFrame"), "{:?}", notes.all());
    let request = "GET /?id=eve HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut eve = server.raw().await;
    eve.write_all(request.as_bytes()).await.expect("sends");
    // A text frame without a mask.
    eve.write_all(b"\x81\x02hi").await.expect("sends");
    let expected = r#"eve Violation { code: 1002, reason: "frames of clients must be masked" }"#;
    assert_eq!(notes.first(2).await[1], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pong_handler_learns_how_long_the_answer_to_a_ping_took() {
    let notes = Notes::default();
    let settings = EdgeSettings {
        ping_interval: Duration::from_millis(100),
        ..demo()
    };
    let server = server_with(settings, |node| {
        node.on_pong(noting!(notes, |client, latency| {
            assert!(latency < Duration::from_secs(10));
            client.id().to_string()
        }))
    })
    .await;
    let mut ann = server.client("ann").await;
    let listening = async {
        loop {
            ann.next().await;
        }
    };
    tokio::select! {
        () = listening => {}
        noted = notes.first(2) => assert_eq!(noted[0], "ann"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_handler_sees_text_and_binary_before_they_are_read_and_may_handle_them() {
    let notes = Notes::default();
    let seen = notes.clone();
    let server = server(|node| {
        node.on_message(move |client, message| {
            let (notes, handling) = (seen.clone(), handling(&message));
            notes.add(format!("{message:?}"));
            async move {
                if handling == Handling::Handled {
                    client.push("handled", &1).await.expect("JSON");
                }
                handling
            }
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    ann.send("mine: not a frame").await;
    assert_eq!(ann.frame().await["event"], "handled");
    ann.socket.send(Message::binary(vec![0xff, 0])).await.expect("sends");
    assert_eq!(ann.frame().await["event"], "handled", "also what is not UTF-8");
    assert_eq!(ann.request("echo", json!(1)).await, json!({"ok": true}));
    ann.send("").await;
    assert_eq!(ann.next().await, Received::Text(String::new()));
    assert_eq!(code(&ann.request("nobody's", json!(1)).await), "UNKNOWN_EVENT");
    let seen = notes.all();
    assert_eq!(seen.len(), 4, "no heartbeat: {seen:?}");
    assert!(seen[1].starts_with("Binary"), "{seen:?}");
}

fn handling(message: &RawMessage) -> Handling {
    match message {
        RawMessage::Text(text) if !text.starts_with("mine") => Handling::Unhandled,
        _ => Handling::Handled,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_read_in_order_though_their_handlers_take_longer_or_panic() {
    const MESSAGES: u32 = 100;
    let notes = Notes::default();
    let server = server(|node| {
        node.on(
            "count",
            noting!(notes, |client, number| format!(
                "{} {}",
                Client::id(&client),
                Value::to_string(&number)
            )),
        )
        .on_message(|_, message| async move {
            let RawMessage::Text(text) = message else {
                panic!("text was sent")
            };
            assert!(!text.contains("13}"), "on purpose");
            for _ in 0..text.len() % 5 {
                tokio::task::yield_now().await;
            }
            Handling::Unhandled
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    for number in 0..MESSAGES {
        ann.send(format!(r#"{{"event":"count","payload":{number}}}"#)).await;
    }
    let expected: Vec<_> = (0..MESSAGES).map(|number| format!("ann {number}")).collect();
    assert_eq!(notes.first(expected.len()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_sent_before_it_left_is_handled_though_a_message_handler_is_asked_first() {
    let notes = Notes::default();
    let told = notes.clone();
    let server = server(move |node| {
        node.on_message(|_, _| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Handling::Unhandled
        })
        .on("last", move |_: Client, number: u32| {
            notes.add(number.to_string());
            async { Ok::<_, Refusal>(()) }
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    for number in 0..5 {
        ann.send(json!({"event": "last", "payload": number}).to_string()).await;
    }
    ann.socket.close(None).await.expect("sent");
    assert_eq!(told.first(5).await, ["0", "1", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_taken_out_is_told_nothing_more() {
    let notes = Notes::default();
    let server = server(|node| node).await;
    let handlers = server.node.handlers();
    let comes = handlers.on_connection(noting!(notes, |client| format!("{} comes", client.id())));
    let goes = handlers.on_close(noting!(notes, |client, _closed| format!("{} goes", client.id())));
    drop(server.client("ann").await.settled().await);
    assert_eq!(notes.first(2).await, ["ann comes", "ann goes"]);
    assert!(handlers.off(comes) && handlers.off(goes) && !handlers.off(goes));
    drop(server.client("bob").await.settled().await);
    until("bob is gone", || server.node.adapter().client_count() == 0).await;
    let _cat = server.client("cat").await.settled().await;
    assert_eq!(notes.all().len(), 2);
}
