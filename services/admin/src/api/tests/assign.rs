//! Which ws-node a new client should use.

use serde_json::{Value, json};

use super::fixture::{Cluster, Edge, get, until};
use super::openapi::check;

/// A ws-node that says this about itself.
async fn edge(cluster: &Cluster, name: &str, report: Value) -> Edge {
    let edge = cluster.edge(name).await;
    edge.adapter.add_report("edge", move || report.clone());
    edge
}

fn at(name: &str, zone: &str) -> Value {
    json!({"publicUrl": format!("wss://{name}.example.org"), "labels": {"zone": zone}})
}

#[tokio::test]
async fn a_client_is_sent_to_the_same_ws_node_to_the_least_busy_one_or_to_one_with_a_label() {
    let cluster = Cluster::new().await;
    let one = edge(&cluster, "ws-node-1", at("ws-node-1", "a")).await;
    let _two = edge(&cluster, "ws-node-2", at("ws-node-2", "b")).await;
    let _ann = one.client("ann").await;
    let open = cluster.open();
    let is_sampled = async || get(&open, "/api/v1/stats").await.json()["totals"]["clients"] == 1;
    until("the next sample has both, and the client", is_sampled).await;
    let by_load = get(&open, "/api/v1/assign").await.json();
    check("Assignment", &by_load);
    assert_eq!(
        by_load,
        json!({"server": "ws-node-2", "url": "wss://ws-node-2.example.org", "labels": {"zone": "b"}})
    );
    let first = get(&open, "/api/v1/assign?client=bob").await.json();
    for by in ["", "&by=hash"] {
        assert_eq!(
            get(&open, &format!("/api/v1/assign?client=bob{by}")).await.json(),
            first
        );
    }
    let labelled = get(&open, "/api/v1/assign?client=bob&label=zone:a").await.json();
    assert_eq!(labelled["server"], "ws-node-1");
}

#[tokio::test]
async fn what_cannot_be_assigned_is_answered_with_what_there_is() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let nobody = get(&open, "/api/v1/assign").await.problem(409);
    assert!(nobody.contains("--public-url"), "{nobody}");
    let draining = json!({"publicUrl": "wss://a.example.org", "labels": {"zone": "a"}, "draining": true});
    let _one = edge(&cluster, "ws-node-1", draining).await;
    let is_known = async || get(&open, "/api/v1/assign").await.text.contains("draining");
    until("the next sample has it", is_known).await;
    let busy = get(&open, "/api/v1/assign?label=zone:a").await.problem(503);
    assert!(busy.contains("draining"), "{busy}");
    let unknown = get(&open, "/api/v1/assign?label=zone:b").await.problem(404);
    assert!(unknown.contains("ws-nodes have zone:a"), "{unknown}");
    for query in [
        "by=hash",
        "by=luck",
        "label=zone",
        "label=:a",
        "label=",
        "client=",
        "zone=a",
    ] {
        get(&open, &format!("/api/v1/assign?{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn a_ws_node_that_crashed_is_not_assigned_once_it_is_missed() {
    let cluster = Cluster::new().await;
    let one = edge(&cluster, "ws-node-1", at("ws-node-1", "a")).await;
    let _two = edge(&cluster, "ws-node-2", at("ws-node-2", "a")).await;
    let open = cluster.open();
    one.crash();
    until("the living one is assigned", async || {
        get(&open, "/api/v1/assign").await.json()["server"] == "ws-node-2"
    })
    .await;
}
