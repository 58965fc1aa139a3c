//! Clients that connect without a token and show it in their first message.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ws_node::{AuthSettings, EdgeSettings, LoginPolicy};
use wsmesh_protocol::CloseCode;

use crate::common::frame::frame;
use crate::common::{Client, PATIENCE, Received, Server};
use crate::door::{closed, code, counted, door_with, is_here, knock};
use crate::signer::{Signer, now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn server() -> Server {
    server_with(LoginPolicy::default()).await
}

async fn server_with(login_policy: LoginPolicy) -> Server {
    let auth = AuthSettings {
        jwt_key: Some(Signer::secret(SECRET).key_file()),
        by_message: true,
        timeout: Duration::from_secs(1),
        ..AuthSettings::default()
    };
    let settings = EdgeSettings {
        auth,
        close_timeout: Duration::from_secs(1),
        login_policy,
        ..closed()
    };
    door_with(settings).await
}

fn token(claims: Value) -> String {
    Signer::secret(SECRET).token("888", claims)
}

async fn stranger(server: &Server) -> Client {
    knock(server, "id=eve", &[]).await.expect("upgraded")
}

fn gauge(server: &Server, name: &str) -> f64 {
    let families = server.registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect(name);
    family.get_metric()[0].get_gauge().get_value()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_says_who_a_client_is() {
    let server = server().await;
    let mut client = stranger(&server).await;
    client.send("").await;
    assert_eq!(
        client.next().await,
        Received::Text(String::new()),
        "a heartbeat is answered before it"
    );
    let refused = client.request("gamePing", json!(1)).await;
    assert_eq!(code(&refused), "NOT_ALLOWED");
    assert_eq!(
        gauge(&server, "wsmesh_connections"),
        0.0,
        "it does not count as a client yet"
    );
    assert_eq!(gauge(&server, "wsmesh_unauthenticated_connections"), 1.0);
    let welcome = client.request("authenticate", json!({"token": token(json!({}))})).await;
    assert_eq!((&welcome["ok"], &welcome["client"]), (&json!(true), &json!("888")));
    assert!(is_here(&server, "888") && !is_here(&server, "eve"));
    assert_eq!(
        code(&client.request("gamePing", json!(1)).await),
        "UNAVAILABLE",
        "handled, though nobody is there"
    );
    assert_eq!(gauge(&server, "wsmesh_unauthenticated_connections"), 0.0);
    let mut plain = knock(&server, &format!("token={}", token(json!({}))), &[])
        .await
        .expect("a token still works");
    let again = plain.request("authenticate", json!({"token": token(json!({}))})).await;
    assert_eq!(again["ok"], json!(true), "and showing it again renews it");
}

/// Sends the upgrade request and these messages in one packet, and reads until each of these parts has come, in this order.
async fn in_one_packet(server: &Server, messages: &[String], replies: &[&[u8]]) {
    let mut stream = server.raw().await;
    let mut bytes =
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    for text in messages {
        bytes.extend(frame(0x81, text.as_bytes()));
    }
    stream.write_all(&bytes).await.expect("sends");
    let (mut answer, mut from) = (Vec::new(), 0);
    for reply in replies {
        let reading = async {
            loop {
                let found = answer[from..].windows(reply.len()).position(|part| part == *reply);
                if let Some(at) = found {
                    return from + at + reply.len();
                }
                assert_ne!(stream.read_buf(&mut answer).await.expect("reads"), 0, "closed");
            }
        };
        let text = String::from_utf8_lossy(reply);
        from = tokio::time::timeout(PATIENCE, reading).await.expect(&text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_follow_in_the_same_packet_are_not_lost() {
    let server = server().await;
    let first = json!({"event": "authenticate", "payload": {"token": token(json!({}))}});
    let second = json!({"event": "enterForeground", "payload": null, "callbackId": "next"});
    let reply = br#"{"payload":{"ok":true},"callbackId":"next"}"#;
    in_one_packet(&server, &[first.to_string(), second.to_string()], &[reply]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_frames_before_the_token_in_the_same_packet_are_not_lost() {
    let server = server().await;
    let early = json!({"event": "gamePing", "payload": null, "callbackId": "early"});
    let token = json!({"event": "authenticate", "payload": {"token": token(json!({}))}, "callbackId": "token"});
    let messages = [String::new(), early.to_string(), token.to_string()];
    let replies: [&[u8]; 3] = [b"\x81\x00", br#""callbackId":"early""#, br#""callbackId":"token""#];
    in_one_packet(&server, &messages, &replies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_authenticate_in_time_is_closed() {
    let server = server().await;
    let started = Instant::now();
    let (mut silent, mut chatty) = (stranger(&server).await, stranger(&server).await);
    chatty.send("").await;
    let late = Received::Closed(Some((4014, "authentication did not come in time".into())));
    assert_eq!(silent.next().await, late);
    assert_eq!(chatty.close_code().await, Some(4014), "a heartbeat gives no more time");
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&started.elapsed()));
    assert_eq!(counted(&server.registry, "wsmesh_auth_failures_total", "too_late"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_not_authenticated_is_told_of_a_shutdown() {
    let server = server().await;
    let mut client = stranger(&server).await;
    let started = Instant::now();
    let ending = tokio::spawn(server.shut_down());
    let Received::Closed(Some((code, reason))) = client.next().await else {
        panic!("no close frame");
    };
    assert_eq!(code, 1012, "{reason}");
    assert!(
        CloseCode::parse_delay(&reason).is_some_and(|delay| delay <= 5000),
        "{reason}"
    );
    let told_after = started.elapsed();
    assert!(told_after < Duration::from_millis(900), "{told_after:?}");
    drop(client);
    ending.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_rejected_and_ends_the_connection() {
    let server = server().await;
    let foreign = Signer::secret("another key, also of 32 or more bytes").token("888", json!({}));
    for (payload, expected) in [
        (json!({"token": foreign}), "NOT_ALLOWED"),
        (json!({"token": token(json!({"exp": now() - 60}))}), "NOT_ALLOWED"),
        (json!({"token": ""}), "NOT_ALLOWED"),
        (json!(token(json!({}))), "BAD_PAYLOAD"),
        (json!({}), "BAD_PAYLOAD"),
    ] {
        let mut client = stranger(&server).await;
        assert_eq!(code(&client.request("authenticate", payload).await), expected);
        assert_eq!(
            client.next().await,
            Received::Closed(Some((4011, "authentication failed".into())))
        );
    }
    assert!(!is_here(&server, "888"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_loses_to_an_older_one_gets_no_reply_to_its_token() {
    let server = server_with(LoginPolicy::Oldest).await;
    let mut first = stranger(&server).await;
    let shown = json!({"token": token(json!({}))});
    assert_eq!(first.request("authenticate", shown.clone()).await["ok"], json!(true));
    let mut second = stranger(&server).await;
    let asked = json!({"event": "authenticate", "payload": shown, "callbackId": "1"});
    second.send(asked.to_string()).await;
    assert_eq!(
        second.next().await,
        Received::Closed(Some((1013, "this id is logged in already".into())))
    );
    let still = first.request("enterForeground", json!(null)).await;
    assert_eq!(still, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_before_authentication_ends_the_connection() {
    let server = server().await;
    let mut large = stranger(&server).await;
    large.send("x".repeat(20_000)).await;
    assert_eq!(large.close_code().await, Some(1009));
    let mut many = stranger(&server).await;
    for _ in 0..40 {
        many.emit("x", json!("y".repeat(1000))).await;
    }
    assert_eq!(many.close_code().await, Some(1009));
}
