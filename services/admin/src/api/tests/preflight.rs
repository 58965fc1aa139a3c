//! The check of an address before it becomes a node.

use serde_json::json;
use wsmesh_adapter::Bus;

use super::fixture::{Cluster, alone, post};
use super::openapi::check;

#[tokio::test]
async fn an_address_is_checked_without_becoming_a_node() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");
    let found = post(&open, "/api/v1/nodes/preflight", r#"{"url":"memory:redis-3"}"#)
        .await
        .json();
    check("Preflight", &found);
    assert_eq!(
        (&found["node"], &found["passes"]),
        (&json!("redis-3"), &json!(true)),
        "{found}"
    );
    assert_eq!(super::nodes::node(&open, "redis-3").await, json!(null));
}

#[tokio::test]
async fn an_address_that_is_none_is_rejected_as_when_it_is_added() {
    let url = wsmesh_adapter::NodeUrl::parse("redis://127.0.0.1:1#redis-1").expect("a URL");
    let (open, _driver) = alone(Bus::Redis(vec![url]));
    for path in ["/api/v1/nodes/preflight", "/api/v1/nodes", "/api/v1/nodes?force=true"] {
        for url in ["http://redis-2:6379", "", "redis://:hunter2@redis-2:6379"] {
            let detail = post(&open, path, json!({"url": url}).to_string()).await.problem(400);
            assert!(!detail.contains("hunter2"), "{detail}");
        }
    }
    for path in ["/api/v1/nodes?force=maybe", "/api/v1/nodes?forced=true"] {
        post(&open, path, r#"{"url":"redis://redis-2:6379"}"#)
            .await
            .problem(400);
    }
    let (single, _driver) = alone(Bus::Alone);
    post(&single, "/api/v1/nodes/preflight", r#"{"url":"redis://redis-2:6379"}"#)
        .await
        .problem(409);
}
