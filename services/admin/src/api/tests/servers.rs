//! Draining, resuming and rebalancing ws-nodes.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use wsmesh_adapter::{Adapter, Payload};

use super::fixture::{Cluster, get, post, send};
use super::openapi::check;

/// A ws-node that answers with the order and does not carry it out. The tests of ws-node cover the rest.
pub(super) fn obeys(edge: &Adapter) {
    edge.add_report(
        "edge",
        || json!({"publicUrl": "ws://a.example.org", "labels": {"zone": "a"}}),
    );
    for order in ["wsmesh.drain", "wsmesh.resume", "wsmesh.rebalance", "wsmesh.logLevel"] {
        edge.on(order, move |event| async move {
            let payload: Value = event.payload.parse().expect("JSON");
            let reply = match order {
                "wsmesh.drain" => json!({"draining": true, "connections": 3, "withinMs": payload["withinMs"].as_u64().unwrap_or(15_000)}),
                "wsmesh.logLevel" => json!({"level": payload["level"], "remainingMs": payload["forMs"]}),
                "wsmesh.resume" => json!({"draining": false, "connections": 3}),
                _ => json!({"clients": payload["clients"].as_u64().unwrap_or(7)}),
            };
            event.reply(Payload::new(&reply).expect("JSON")).await.expect("sent");
        });
    }
}

#[tokio::test]
async fn a_ws_node_is_drained_resumed_and_rebalanced_by_name() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("edge-1").await;
    obeys(&edge.adapter);
    let open = cluster.open();
    let at = |what: &str| format!("/api/v1/servers/edge-1/{what}");
    let drained = post(&open, &at("drain"), r#"{"withinMs":2000}"#).await.json();
    check("Draining", &drained);
    assert_eq!(drained, json!({"draining": true, "connections": 3, "withinMs": 2000}));
    assert_eq!(post(&open, &at("drain"), "{}").await.json()["withinMs"], 15_000);
    let detail = post(&open, &at("drain"), r#"{"withinMs":3600001}"#).await.problem(400);
    assert!(detail.contains("at most 3600000"), "{detail}");
    let resumed = post(&open, &at("resume"), "{}").await.json();
    check("Draining", &resumed);
    assert_eq!(resumed["draining"], false);
    let shed = post(&open, &at("rebalance"), r#"{"clients":5}"#).await.json();
    check("Shedding", &shed);
    assert_eq!(shed, json!({"clients": 5}));
}

#[tokio::test]
async fn an_order_needs_neither_a_body_nor_its_type() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("edge-1").await;
    obeys(&edge.adapter);
    let open = cluster.open();
    for order in ["drain", "resume", "rebalance"] {
        let path = format!("/api/v1/servers/edge-1/{order}");
        let bare = Request::post(&path).body(Body::empty()).expect("a request");
        assert_eq!(send(&open, bare).await.status, 200, "{order}");
        assert_eq!(post(&open, &path, "").await.status, 200, "{order}");
        let untyped = Request::post(&path).body(Body::from("{}")).expect("a request");
        send(&open, untyped).await.problem(415);
    }
}

#[tokio::test]
async fn an_order_that_is_not_possible_is_rejected_with_the_reason() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let unknown = post(&open, "/api/v1/servers/nobody/drain", "{}").await;
    assert!(unknown.problem(404).contains("nobody"));
    let _edge = cluster.edge("no-ws-node").await;
    let other = post(&open, "/api/v1/servers/no-ws-node/drain", "{}").await;
    assert!(other.problem(409).contains("only ws-nodes"));
    let typo = post(&open, "/api/v1/servers/nobody/drain", r#"{"within":1}"#).await;
    assert!(typo.problem(400).contains("within"));
    get(&open, "/api/v1/servers/nobody/drain").await.problem(405);
}
