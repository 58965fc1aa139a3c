//! Who changed what: what is recorded, and how it is told.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::super::*;
use super::fixture::{Cluster, TOKEN, batch, delete, get, post, put, send, until};
use super::openapi::check;

/// The records of an answer: action, target, result and how often.
fn told(answer: &Value) -> Vec<(String, String, String, u64)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let records = answer["records"].as_array().expect("records");
    records
        .iter()
        .map(|record| {
            let count = record["count"].as_u64().expect("a number");
            (
                text(&record["action"]),
                text(&record["target"]),
                text(&record["result"]),
                count,
            )
        })
        .collect()
}

async fn records(router: &Router) -> Vec<(String, String, String, u64)> {
    let answer = get(router, "/api/v1/audit").await.json();
    check("Audit", &answer);
    assert_eq!((&answer["complete"], &answer["next"]), (&json!(true), &Value::Null));
    told(&answer)
}

#[tokio::test]
async fn what_changes_something_is_recorded_and_what_reads_is_not() {
    for prefix in ["", "/admin"] {
        what_changes_something_is_recorded_behind(prefix).await;
    }
}

async fn what_changes_something_is_recorded_behind(prefix: &str) {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let _ann = edge.client("ann").await;
    let open = cluster.behind(Some(prefix).filter(|prefix| !prefix.is_empty()));
    let at = |path: &str| format!("{prefix}/api/v1{path}");
    let records = async || told(&get(&open, &at("/audit")).await.json());
    get(&open, &at("/stats")).await.json();
    post(&open, &at("/clients/query"), r#"{"ids":["ann"]}"#).await.json();
    get(&open, &at("/nothing")).await.problem(404);
    assert_eq!(records().await, []);

    put(&open, &at("/clients/ann/rooms/chat/lobby"), "").await.json();
    for client in ["ann", "bob"] {
        post(&open, &at(&format!("/clients/{client}/disconnect")), "{}").await;
    }
    delete(&open, &at("/nodes/redis-9")).await.problem(404);
    let url = r#"{"url":"redis://ann:hunter2@127.0.0.1:1#redis-7"}"#;
    post(&open, &at("/nodes"), url).await.problem(400);
    post(&open, &at("/nodes"), "hunter2").await.problem(400);
    let line = |action: &str, target: &str, result: &str| (action.to_owned(), target.to_owned(), result.to_owned(), 1);
    assert_eq!(
        records().await,
        [
            line("add node", "", "rejected"),
            line("add node", "node redis-7", "rejected"),
            line("remove node", "node redis-9", "rejected"),
            line("disconnect", "client bob", "rejected"),
            line("disconnect", "client ann", "done"),
            line("join", "client ann, room chat/lobby", "done"),
        ]
    );
    assert!(!get(&open, &at("/audit")).await.text.contains("hunter2"));
}

#[tokio::test]
async fn messages_are_summed_up_and_never_told() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let (_ann, _bob) = (edge.client("ann").await, edge.client("bob").await);
    let open = cluster.open();
    for client in ["ann", "bob"] {
        let path = format!("/api/v1/clients/{client}/messages");
        post(&open, &path, r#"{"event":"say","payload":"secret"}"#).await.json();
    }
    for event in ["a", "b", "c"] {
        post(&open, "/api/v1/broadcast", format!(r#"{{"event":"secret-{event}"}}"#))
            .await
            .json();
    }
    let told = records(&open).await;
    let sums: Vec<_> = told
        .iter()
        .map(|(action, _, result, count)| (action.as_str(), result.as_str(), *count))
        .collect();
    assert_eq!(sums, [("broadcast", "done", 3), ("send to client", "done", 2)]);
    assert!(!get(&open, "/api/v1/audit").await.text.contains("secret"));
}

#[tokio::test]
async fn a_record_has_its_caller_its_address_and_its_trace() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    let request = |path: &str, token: &str| {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .header("content-type", "application/json");
        let mut request = request.body(Body::from("{}")).expect("a request");
        let peer: std::net::SocketAddr = ([192, 0, 2, 1], 4711).into();
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        request
    };
    send(&guarded, request("/api/v1/servers/ws-9/drain", TOKEN))
        .await
        .problem(404);
    send(
        &guarded,
        request("/api/v1/servers/ws-9/drain", "a-wrong-token-of-the-tests"),
    )
    .await
    .problem(401);
    let reading = Request::get("/api/v1/audit").header("authorization", format!("Bearer {TOKEN}"));
    let answer = send(&guarded, reading.body(Body::empty()).expect("a request")).await;
    let all = answer.json();
    let drain = &all["records"][1];
    assert_eq!(
        (&drain["caller"], &drain["role"], &drain["address"], &drain["status"]),
        (&json!("token"), &json!("operator"), &json!("192.0.2.1"), &json!(404)),
        "{all}"
    );
    assert_eq!(drain["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736", "{all}");
    let stranger = &all["records"][0];
    assert_eq!(
        (
            &stranger["caller"],
            &stranger["role"],
            &stranger["action"],
            &stranger["admin"]
        ),
        (&Value::Null, &Value::Null, &json!("wrong token"), &json!("admin-1"))
    );
    assert!(!answer.text.contains(TOKEN) && !answer.text.contains("a-wrong-token"));
}

#[tokio::test]
async fn a_request_whose_caller_goes_away_is_recorded() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let waiting = {
        let open = open.clone();
        tokio::spawn(async move { post(&open, "/api/v1/clients/ann/requests", r#"{"event":"wait"}"#).await })
    };
    ann.frame().await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    let told = records(&open).await;
    assert_eq!(
        (told[0].0.as_str(), told[0].2.as_str()),
        ("ask client", "failed"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_request_with_a_key_is_recorded_once_with_its_result_also_if_its_caller_goes_away() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let keyed = |path: &str, body: &'static str| {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("idempotency-key", path.replace('/', "-"));
        request.body(Body::from(body)).expect("a request")
    };
    let waiting = tokio::spawn({
        let (open, request) = (
            open.clone(),
            keyed("/api/v1/clients/ann/requests", r#"{"event":"wait"}"#),
        );
        async move { send(&open, request).await }
    });
    let frame = ann.frame().await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(records(&open).await, [], "it runs on");
    edge.answer(&ann, &frame, &json!("yes"));
    until("it has ended", async || !records(&open).await.is_empty()).await;
    for _ in 0..3 {
        let request = keyed("/api/v1/clients/ann/disconnect", "{}");
        assert_eq!(send(&open, request).await.status, 200);
    }
    let told = records(&open).await;
    let told: Vec<_> = told
        .iter()
        .map(|(action, _, result, count)| (action.as_str(), result.as_str(), *count))
        .collect();
    assert_eq!(told, [("disconnect", "done", 1), ("ask client", "done", 1)]);
}

#[tokio::test]
async fn what_a_batch_did_is_recorded_also_if_its_caller_goes_away() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let lines = [
        r#"{"join":{"client":"ann","room":{"namespace":"chat","id":"lobby"}}}"#,
        r#"{"ask":{"client":"ann","event":"wait"}}"#,
        r#"{"broadcast":{"event":"never"}}"#,
    ]
    .join("\n");
    let waiting = tokio::spawn({
        let open = open.clone();
        async move { batch(&open, lines).await }
    });
    ann.frame().await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    let told = records(&open).await;
    let line = |action: &str, target: &str, result: &str| (action.to_owned(), target.to_owned(), result.to_owned(), 1);
    assert!(
        told.contains(&line("join", "client ann, room chat/lobby", "done")),
        "{told:?}"
    );
    assert!(told.contains(&line("ask client", "", "failed")), "{told:?}");
    assert!(
        told.contains(&line("batch", "", "failed")) && told.len() == 3,
        "{told:?}"
    );
}

#[tokio::test]
async fn the_records_of_all_admins_come_newest_first_in_pages_and_a_silent_admin_is_named() {
    let first = Cluster::new().await;
    let second = Cluster::of("admin-2", first.bus.clone()).await;
    let (one, two) = (first.open(), second.open());
    first.knows("admin-2").await;
    for number in 0..3 {
        delete(&one, &format!("/api/v1/nodes/one-{number}")).await.problem(404);
        delete(&two, &format!("/api/v1/nodes/two-{number}")).await.problem(404);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&one, &format!("/api/v1/audit?limit=2{cursor}")).await.json();
        assert_eq!(page["missing"], json!([]), "{page}");
        let records = page["records"].as_array().expect("records");
        seen.extend(
            records
                .iter()
                .map(|record| record["target"].as_str().expect("text").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    let all = ["one-0", "one-1", "one-2", "two-0", "two-1", "two-2"].map(|node| format!("node {node}"));
    assert_eq!(sorted, all, "each once");
    for admin in ["one", "two"] {
        let of: Vec<_> = seen.iter().filter(|target| target.contains(admin)).collect();
        let newest_first = [2, 1, 0].map(|number| format!("node {admin}-{number}"));
        assert_eq!(of, newest_first.iter().collect::<Vec<_>>());
    }
    for wrong in ["limit=0", "cursor=x", "cursor=eyJ9", "after=1"] {
        get(&one, &format!("/api/v1/audit?{wrong}")).await.problem(400);
    }

    second.crash();
    let page = get(&one, "/api/v1/audit").await.json();
    assert_eq!(
        (&page["complete"], &page["missing"][0]["server"]),
        (&json!(false), &json!("admin-2")),
        "{page}"
    );
    assert_eq!(page["records"].as_array().map(Vec::len), Some(3));
}
