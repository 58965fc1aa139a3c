//! Clients that are not let in: because the hook says so, or because it cannot be used.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use wsmesh_adapter::MAX_DATA_BYTES;

use crate::common::until;
use crate::door::{answering, counted, door, hook, knock, with_hook};
use crate::server::{Act, Backend, answer};

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_refuses_with_its_status_and_everything_else_is_503() {
    let answers = [
        (401, "{}".to_owned(), 401, "refused"),
        (403, "{}".to_owned(), 403, "refused"),
        (500, r#"{"client": "a"}"#.to_owned(), 503, "failed"),
        (404, "{}".to_owned(), 503, "failed"),
        (302, r#"{"client": "a"}"#.to_owned(), 503, "failed"),
        (201, r#"{"client": "a"}"#.to_owned(), 503, "failed"),
        (200, String::new(), 503, "unusable"),
        (200, "<html>".to_owned(), 503, "unusable"),
        (200, "{}".to_owned(), 503, "unusable"),
        (200, r#"{"client": "a\n"}"#.to_owned(), 503, "unusable"),
        (200, r#"{"client": "a", "events": "all"}"#.to_owned(), 503, "unusable"),
        (200, r#"{"client": "a", "event": []}"#.to_owned(), 503, "unusable"),
        (
            200,
            json!({"client": "a", "data": "x".repeat(MAX_DATA_BYTES - 1)}).to_string(),
            503,
            "unusable",
        ),
        (
            200,
            json!({"client": "a", "data": "x".repeat(1 << 20)}).to_string(),
            503,
            "unusable",
        ),
    ];
    for (status, body, expected, result) in answers {
        let shown = body.chars().take(60).collect::<String>();
        let backend = Backend::start(move |_| Act::Send(answer(status, &body))).await;
        let server = door(with_hook(hook(&backend, json!({})))).await;
        let (refused, retry_after) = knock(&server, "", &[]).await.err().expect("not let in");
        assert_eq!(
            (refused, retry_after.is_some()),
            (expected, expected == 503),
            "{status} {shown}"
        );
        assert_eq!(
            counted(&server, "wsmesh_connect_hook_total", result),
            1.0,
            "{status} {shown}"
        );
        assert_eq!(
            counted(&server, "wsmesh_connect_hook_total", "allowed"),
            0.0,
            "{status} {shown}"
        );
        assert_eq!(server.node.adapter().client_count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_hook_that_hangs_longer_than_its_time() {
    let backend = Backend::start(|_| Act::Hang).await;
    let server = door(with_hook(hook(&backend, json!({"timeout_ms": 100})))).await;
    let asked = Instant::now();
    assert!(matches!(knock(&server, "", &[]).await, Err((503, Some(_)))));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(counted(&server, "wsmesh_connect_hook_total", "timed_out"), 1.0);
    until("its call ends", || backend.under_way() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_is_away_lets_nobody_in_and_works_again_when_it_is_back() {
    let backend = answering(200, json!({"client": "a"})).await;
    let (address, settings) = (backend.address, with_hook(hook(&backend, json!({}))));
    drop(backend);
    let server = door(settings).await;
    until("nobody listens there", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    assert!(matches!(knock(&server, "", &[]).await, Err((503, Some(_)))));
    let _back = Backend::start_on(address, |_| Act::Send(answer(200, r#"{"client": "a"}"#))).await;
    assert!(knock(&server, "", &[]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_that_wait_for_the_hook_are_bounded_and_more_are_rejected_at_once() {
    let backend = Backend::start(|_| Act::Hang).await;
    let server = door(with_hook(hook(&backend, json!({"max_in_flight": 2})))).await;
    let (address, mut waiting) = (server.address, Vec::new());
    for _ in 0..2 {
        waiting.push(upgrade(address).await);
    }
    until("two are asked about", || backend.under_way() == 2).await;
    let asked = Instant::now();
    assert!(matches!(knock(&server, "", &[]).await, Err((503, Some(_)))));
    assert!(asked.elapsed() < Duration::from_secs(5), "at once");
    assert_eq!(counted(&server, "wsmesh_connect_hook_total", "overloaded"), 1.0);
    // Clients that go away meanwhile end their calls.
    drop(waiting);
    until("nobody is asked about", || backend.under_way() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_drained_does_not_wait_for_the_hook() {
    let backend = Backend::start(|_| Act::Hang).await;
    let server = door(with_hook(hook(&backend, json!({})))).await;
    let drained = async {
        until("the hook is asked", || backend.under_way() == 1).await;
        server.node.start_draining();
    };
    let (knocked, ()) = tokio::join!(knock(&server, "", &[]), drained);
    assert!(matches!(knocked, Err((503, Some(_)))));
    assert_eq!(counted(&server, "wsmesh_connections_rejected_total", "draining"), 1.0);
    until("its call ends", || backend.under_way() == 0).await;
}

/// Sends an upgrade request, and reads nothing.
async fn upgrade(address: std::net::SocketAddr) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let request = format!(
        "GET /chat HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    stream
}
