//! While no Redis node is heard: what is accepted goes out later, and what is not was not done.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use wsmesh_adapter::Fault;

use super::fixture::{Answer, Cluster, post, send, until};
use super::openapi::check;

fn all_nodes(cluster: &Cluster, fault: Fault) {
    for id in ["redis-1", "redis-2"] {
        assert!(cluster.bus.set_fault(id, fault));
    }
}

#[tokio::test]
async fn a_message_accepted_in_an_outage_reaches_clients_once_after_it() {
    // Longer than anything in this test.
    let cluster = Cluster::with_window(Duration::from_secs(60)).await;
    let edge = cluster
        .edge_with("ws-node-1", |options| options.replay_window = Duration::from_secs(60))
        .await;
    let mut ann = edge.client("ann").await;
    edge.join("ann", "chat", "a").await;
    let open = cluster.open();
    all_nodes(&cluster, Fault::Fail);
    let path = "/api/v1/rooms/chat/a/messages";
    for number in 0..3 {
        let body = json!({"event": "n", "payload": number}).to_string();
        let sent = post(&open, path, body).await;
        assert_eq!(
            (sent.status.as_u16(), &sent.json()["servers"]),
            (202, &Value::Null),
            "{}",
            sent.text
        );
    }
    // Where the client is cannot be asked now.
    let unknown = post(&open, "/api/v1/clients/ann/messages", r#"{"event":"n","payload":3}"#).await;
    assert_eq!(
        unknown.json(),
        json!({"accepted": true, "servers": null, "state": "unknown"})
    );
    let several = post(
        &open,
        "/api/v1/clients/messages",
        r#"{"event":"n","payload":4,"ids":["ann"]}"#,
    )
    .await;
    assert_eq!(
        several.json(),
        json!({"accepted": true, "servers": null, "offline": [], "unknown": ["ann"], "failed": []})
    );
    check("AcceptedForClients", &several.json());
    let some = post(
        &open,
        "/api/v1/broadcast",
        r#"{"event":"n","payload":5,"clients":["ann"]}"#,
    )
    .await;
    assert_eq!(
        (&some.json()["servers"], &some.json()["unknown"]),
        (&Value::Null, &json!(["ann"]))
    );
    check("Sent", &some.json());
    all_nodes(&cluster, Fault::None);
    let mut got = Vec::new();
    while got.len() < 6 {
        got.push(ann.frame().await);
    }
    got.sort_unstable();
    let expected: Vec<_> = (0..6)
        .map(|number| format!(r#"{{"event":"n","payload":{number}}}"#))
        .collect();
    assert_eq!(got, expected);
    post(&open, path, r#"{"event":"end"}"#).await.json();
    assert_eq!(
        ann.frame().await,
        r#"{"event":"end","payload":null}"#,
        "nothing came twice"
    );
}

#[tokio::test]
async fn a_request_that_was_rejected_in_an_outage_is_carried_out_when_it_is_repeated() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let say = async |key: u32| -> Answer {
        let request = Request::post("/api/v1/rooms/chat/a/messages")
            .header("content-type", "application/json")
            .header("idempotency-key", format!("key-{key}"))
            .body(Body::from(r#"{"event":"a"}"#));
        send(&open, request.expect("a request")).await
    };
    all_nodes(&cluster, Fault::Fail);
    let mut key = 0;
    until("the outage is longer than the window", async || {
        key += 1;
        say(key).await.status == 503
    })
    .await;
    let rejected = say(key).await;
    assert!(rejected.problem(503).contains("no Redis node is heard"));
    assert_eq!(rejected.header("retry-after"), "1");
    all_nodes(&cluster, Fault::None);
    until("the repeat is carried out", async || say(key).await.status == 202).await;
}
