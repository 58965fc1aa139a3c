//! Who may use which route: roles.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::super::*;
use super::callers::{CALLERS, ask, with_callers};
use super::fixture::{Cluster, TOKEN, send};
use crate::gather::Page;

/// Each route of the API with a path that fits, and which of [`CALLERS`] may use it, by the description.
fn routes() -> Vec<(String, String, [bool; 4])> {
    let description = serde_json::to_value(description()).expect("JSON");
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let needed = operation["security"][0]["token"][0].as_str().expect("a role");
            let fits = path.replace("{namespace}", "chat").replace("{name}", "ws-9");
            let fits = fits.replace("{room}", "x").replace("{id}", "nobody");
            routes.push((method.to_uppercase(), fits, may(&method.to_uppercase(), path, needed)));
        }
    }
    routes
}

/// Which of [`CALLERS`] may use a route.
fn may(method: &str, path: &str, needed: &str) -> [bool; 4] {
    let changes_clients = [
        ("DELETE", "/api/v1/rooms/{namespace}/{id}"),
        ("POST", "/api/v1/clients/{id}/disconnect"),
        ("PUT", "/api/v1/clients/{id}/data"),
        ("DELETE", "/api/v1/clients/{id}/data"),
        ("PUT", "/api/v1/clients/{id}/rooms/{namespace}/{room}"),
        ("DELETE", "/api/v1/clients/{id}/rooms/{namespace}/{room}"),
    ];
    match needed {
        _ if changes_clients.contains(&(method, path)) => [false, false, true, true],
        "viewer" => [true; 4],
        "publisher" => [false, true, true, true],
        _ => [false, false, false, true],
    }
}

#[tokio::test]
async fn each_route_is_open_to_those_who_may_use_it_and_to_no_others() {
    let cluster = Cluster::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let routes = routes();
    assert!(routes.len() >= 25, "{}", routes.len());
    for (method, path, allowed) in &routes {
        if path.ends_with("/events") || path.ends_with("/watch") {
            // They do not end.
            continue;
        }
        ask(&router, (method, path), "", "", None).await.problem(401);
        ask(&router, (method, path), "", "no-such-token-here", None)
            .await
            .problem(401);
        for ((token, role, _), allowed) in CALLERS.iter().zip(allowed) {
            // Nothing but the answer's kind matters, so no body fits and no target exists.
            let answer = ask(&router, (method, path), "no JSON", token, None).await;
            let is_role = answer.status == 403 && answer.json()["code"] == "role";
            assert_eq!(is_role, !allowed, "{method} {path} as {token}: {}", answer.text);
            if is_role {
                let detail = answer.problem(403);
                assert!(detail.contains(&format!("the role {role}")), "{detail}");
            }
        }
    }
    // Methods and paths that do not exist are told to everyone with a token.
    for (token, ..) in CALLERS {
        ask(&router, ("GET", "/api/v1/nothing"), "", token, None)
            .await
            .problem(404);
        ask(&router, ("DELETE", "/api/v1/stats"), "", token, None)
            .await
            .problem(405);
    }
}

#[tokio::test]
async fn viewers_see_connections_without_what_is_attached_to_them() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let set = ask(
        &router,
        ("PUT", "/api/v1/clients/ann/data"),
        r#"{"team":"red"}"#,
        "clients-0123456789",
        None,
    );
    assert_eq!(set.await.status, 200);
    for (token, sees) in [("viewer-0123456789", false), ("publisher-0123456789", true)] {
        let ann = ask(&router, ("GET", "/api/v1/clients/ann"), "", token, None).await;
        assert_eq!(ann.json()["state"], "connected");
        assert_eq!(ann.text.contains("red"), sees, "{}", ann.text);
        let detailed = r#"{"ids":["ann"],"detail":"contexts"}"#;
        let detailed = ask(&router, ("POST", "/api/v1/clients/query"), detailed, token, None).await;
        assert_eq!(detailed.status == 200, sees, "{}", detailed.text);
        let query = r#"{"ids":["ann"]}"#;
        assert_eq!(
            ask(&router, ("POST", "/api/v1/clients/query"), query, token, None)
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn lines_of_a_batch_that_the_caller_may_not_send_are_rejected_alone() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let _ann = edge.client("ann").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (api, router) = with_callers(&cluster, folder.path());
    let lines = [
        r#"{"broadcast":{"event":"say"}}"#,
        r#"{"join":{"client":"ann","room":{"namespace":"chat","id":"lobby"}}}"#,
        r#"{"query":{"ids":["ann"],"detail":"contexts"}}"#,
        r#"{"disconnect":{"client":"ann"}}"#,
    ]
    .join("\n");
    for (token, statuses) in [
        ("publisher-0123456789", [202, 403, 200, 403]),
        ("clients-0123456789", [202, 200, 200, 200]),
    ] {
        let answer = ask(&router, ("POST", "/api/v1/batch"), &lines, token, None).await;
        let results = answer.lines();
        let got: Vec<_> = results
            .iter()
            .map(|line| line["status"].as_u64().expect("a status"))
            .collect();
        assert_eq!(got, statuses, "{}", answer.text);
        if statuses[1] == 403 {
            assert_eq!(results[1]["body"]["code"], "role");
        }
    }
    let page = api.audit.gather(&api.adapter, &Page::new(100, None)).await;
    let records = crate::audit::page(&page, 100).records;
    let join = records.iter().filter(|record| record.action == "join");
    let join: Vec<_> = join.map(|record| (record.status, record.target.as_str())).collect();
    let target = "client ann, room chat/lobby";
    assert_eq!(join.len(), 2, "{records:?}");
    assert!(
        join.contains(&(403, target)) && join.contains(&(200, target)),
        "{join:?}"
    );
    assert!(records.iter().all(|record| record.action != "batch"), "{records:?}");
}

#[tokio::test]
async fn a_repeat_with_the_key_of_another_caller_does_not_get_its_answer() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.answering("ann", json!("secret")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let ask_with_key = async |token: &str| {
        let request = Request::post("/api/v1/clients/ann/requests")
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(r#"{"event":"who?"}"#));
        send(&router, request.expect("a request")).await
    };
    assert_eq!(ask_with_key("operator-0123456789").await.status, 200);
    ask_with_key("viewer-0123456789").await.problem(403);
    // Another caller that may ask: its key is its own, so the client is asked again.
    let again = ask_with_key("publisher-0123456789").await;
    assert_eq!(again.json(), json!({"answer": "secret"}));
}

#[tokio::test]
async fn the_single_token_may_do_everything() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    for (method, path, _) in routes()
        .into_iter()
        .filter(|(_, path, _)| !path.ends_with("/events") && !path.ends_with("/watch"))
    {
        let answer = ask(&guarded, (&method, &path), "no JSON", TOKEN, None).await;
        assert_ne!(answer.status, 403, "{method} {path}");
    }
}
