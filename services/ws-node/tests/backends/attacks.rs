//! Clients that try to be what they are not.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Server, demo, until};
use crate::server::{Act, Backend, answer};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_of_events_do_not_become_labels_of_metrics() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let mut settings = demo();
    settings.rules.push(ws_node::Rule {
        ordered: Some(false),
        ..backend.rule("bid.*")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("bid.first", json!(1)).await, json!({"ok": true}));
    let size = || {
        let families = server.registry.gather();
        families.iter().map(|family| family.get_metric().len()).sum::<usize>()
    };
    let before = size();
    // In batches that its lane takes.
    for batch in 0..10_000 / 25 {
        for number in 0..25 {
            let event = format!("bid.{batch}.{number}");
            ann.send(json!({"event": event, "payload": 1, "callbackId": number}).to_string())
                .await;
        }
        for _ in 0..25 {
            assert_eq!(ann.frame().await["payload"], json!({"ok": true}));
        }
    }
    assert_eq!(backend.requests().len(), 10_001);
    assert!(size() <= before + 2, "{} series, {before} before", size());
}

#[tokio::test(flavor = "multi_thread")]
async fn line_breaks_and_strange_letters_in_every_text_stay_inside_their_header() {
    let backend = Backend::start(|request| Act::Send(answer(200, &request.body))).await;
    let mut settings = demo();
    settings.rules.push(backend.rule("bid.*"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("a%20%25%E2%82%AC%22").await;
    let evil = "\r\nce-client: admin\r\n\r\nPOST /evil HTTP/1.1\r\n € \u{0} \u{7f} \u{85}";
    let payload = json!({evil: evil});
    let request = json!({
        "event": format!("bid.{evil}"), "payload": payload, "callbackId": evil, "idempotencyKey": "€ \"%",
        "traceparent": evil, "ce-id": evil,
    });
    ann.send(request.to_string()).await;
    let reply = ann.frame().await;
    assert_eq!((&reply["callbackId"], &reply["payload"]), (&json!(evil), &payload));
    let requests = backend.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.path, "/bid.*");
    assert_eq!(serde_json::from_str::<Value>(&request.body).expect("JSON"), payload);
    assert_eq!(request.header("ce-client"), "a%20%25%E2%82%AC%22");
    assert!(
        request
            .header("ce-subject")
            .starts_with("bid.%0D%0Ace-client:%20admin%0D%0A%0D%0APOST%20/evil")
    );
    assert_eq!(request.header("idempotency-key"), "%E2%82%AC%20%22%25");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_clients_upgrade_that_look_like_ours_reach_no_backend() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let mut settings = demo();
    settings.rules.push(backend.rule("ask"));
    let server = Server::alone(settings).await;
    let mut ann = server.raw().await;
    let head = "GET /?id=ann HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nce-client: admin\r\nce-id: 1\r\nwebhook-signature: v1,x\r\n\
                authorization: Bearer x\r\ncookie: x=1\r\nidempotency-key: x\r\nx-forwarded-for: 1.2.3.4\r\n\r\n";
    ann.write_all(head.as_bytes()).await.expect("sent");
    let mut answered = Vec::new();
    while !answered.ends_with(b"\r\n\r\n") {
        answered.push(ann.read_u8().await.expect("an answer"));
    }
    let text = br#"{"event":"ask","payload":1}"#;
    // Masked with zeros, as RFC 6455 has it.
    let frame = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], &text[..]].concat();
    ann.write_all(&frame).await.expect("sent");
    until("it was sent", || !backend.requests().is_empty()).await;
    let request = &backend.requests()[0];
    assert_eq!(request.header("ce-client"), "ann");
    assert_ne!(request.header("ce-id"), "1");
    for name in [
        "webhook-signature",
        "authorization",
        "cookie",
        "idempotency-key",
        "x-forwarded-for",
    ] {
        assert!(request.all(name).is_empty(), "{name}");
    }
}
