//! The order of one client's events.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use ws_node::Rule;

use crate::common::{Server, demo, until};
use crate::server::{Act, Backend, answer};

/// Takes a moment, longer for the first ones, so that anything sent at the same time comes out of order.
async fn slow() -> Backend {
    Backend::start(|request| {
        let number: u64 = request.body.parse().expect("a number");
        Act::Later(Duration::from_millis(20 - number.min(19)), answer(200, &request.body))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_one_client_to_one_url_come_one_after_the_other_also_by_two_rules() {
    let backend = slow().await;
    let mut settings = demo();
    let url = format!("http://{}/same", backend.address);
    settings
        .rules
        .extend(["one", "two"].map(|event| crate::server::rule(event, &url)));
    let server = Server::alone(settings).await;
    let mut clients = Vec::new();
    for name in ["ann", "bob", "carl"] {
        clients.push(server.client(name).await);
    }
    for number in 0..20 {
        for client in &mut clients {
            let event = ["one", "two"][number % 2];
            if number % 3 == 0 {
                client.emit(event, json!(number)).await;
            } else {
                client
                    .send(json!({"event": event, "payload": number, "callbackId": number}).to_string())
                    .await;
            }
        }
    }
    for client in &mut clients {
        for number in (0..20).filter(|number| number % 3 != 0) {
            assert_eq!(client.frame().await["payload"], number, "replies are in order, too");
        }
    }
    until("all have come", || backend.requests().len() == 60).await;
    let mut of_client: HashMap<String, Vec<String>> = HashMap::new();
    for request in backend.requests() {
        let client = request.header("ce-client").to_owned();
        of_client.entry(client).or_default().push(request.body);
    }
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(of_client.len(), 3);
    of_client.values().for_each(|bodies| assert_eq!(*bodies, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_order_the_events_of_one_client_are_under_way_at_the_same_time() {
    let backend = Backend::start(|_| Act::Hang).await;
    let mut settings = demo();
    settings.rules.push(Rule {
        ordered: Some(false),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for number in 0..10 {
        ann.emit("ask", json!(number)).await;
    }
    until("all are under way", || backend.under_way() == 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_behind_one_that_hangs_end_in_time_and_are_not_sent() {
    let backend = Backend::start(|_| Act::Hang).await;
    let mut settings = demo();
    settings.rules.push(Rule {
        timeout_ms: Some(500),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for id in 0..10 {
        ann.send(json!({"event": "ask", "payload": id, "callbackId": id}).to_string())
            .await;
    }
    for _ in 0..10 {
        assert_eq!(ann.frame().await["payload"]["errorCode"], "TIMEOUT");
    }
    let sent = backend.requests().len();
    assert!(sent <= 2, "{sent} were sent: the others' time was over");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_events_of_a_client_that_disconnects_are_still_sent_in_order_and_a_shutdown_waits_for_them() {
    let backend = slow().await;
    let mut settings = demo();
    settings.rules.push(backend.rule("ask"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for number in 0..15 {
        ann.emit("ask", json!(number)).await;
    }
    let mut ann = ann.settled().await;
    ann.socket.close(None).await.expect("closes");
    server.shut_down_within(Duration::from_secs(10)).await;
    let bodies: Vec<_> = backend.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, (0..15).map(|number| number.to_string()).collect::<Vec<_>>());
}
