//! Requests that are repeated with an `Idempotency-Key`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::post as post_to;
use serde_json::json;
use tower::ServiceExt;

use super::super::once::once;
use super::fixture::{Answer, Cluster, TOKEN, post, send, timeout, until};
use crate::problem::Problem;

async fn with_key(router: &Router, key: &str, method: Method, path: &str, body: &str) -> Answer {
    send(router, keyed(key, method, path, body)).await
}

fn keyed(key: &str, method: Method, path: &str, body: &str) -> Request<Body> {
    let kind = if path.ends_with("/batch") {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .header("idempotency-key", key)
        .body(Body::from(body.to_owned()));
    request.expect("a request")
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_reaches_clients_once() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/broadcast";
    let first = with_key(&open, "order-7", Method::POST, path, r#"{"event":"once"}"#).await;
    assert_eq!(first.status, 200);
    for key in ["order-7", "\"order-7\""] {
        let repeat = with_key(&open, key, Method::POST, path, r#"{"event":"once"}"#).await;
        assert_eq!(
            (repeat.status, &repeat.text),
            (first.status, &first.text),
            "also its time"
        );
        assert_eq!(repeat.header("content-type"), "application/json");
    }
    let line = r#"{"sendToClient":{"client":"ann","event":"line"}}"#;
    for _ in 0..2 {
        let lines = with_key(&open, "batch-1", Method::POST, "/api/v1/batch", line)
            .await
            .lines();
        assert_eq!(lines[0]["status"], 202);
    }
    post(&open, path, r#"{"event":"end"}"#).await.json();
    for event in ["once", "line", "end"] {
        assert_eq!(ann.frame().await, format!(r#"{{"event":"{event}","payload":null}}"#));
    }
}

#[tokio::test]
async fn a_key_with_another_request_is_rejected_and_nothing_is_done() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/messages";
    with_key(&open, "k", Method::POST, path, r#"{"event":"a"}"#)
        .await
        .json();
    for (method, path, body) in [
        (Method::POST, path, r#"{"event":"b"}"#),
        (Method::POST, "/api/v1/clients/bob/messages", r#"{"event":"a"}"#),
        (Method::DELETE, "/api/v1/clients/ann/data", ""),
    ] {
        let other = with_key(&open, "k", method, path, body).await;
        other.problem(422);
        assert_eq!(other.json()["code"], "key-reused");
    }
    assert_eq!(ann.frame().await, r#"{"event":"a","payload":null}"#);
    assert!(ann.frames.try_recv().is_err());
}

#[tokio::test]
async fn a_repeat_while_the_first_is_running_is_told_to_come_back() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/requests";
    let question = r#"{"event":"ready?","timeoutMs":60000}"#;
    let first = tokio::spawn(open.clone().oneshot(keyed("k", Method::POST, path, question)));
    let frame = ann.frame().await;
    let repeat = with_key(&open, "k", Method::POST, path, question).await;
    repeat.problem(409);
    assert_eq!(
        (&repeat.json()["code"], repeat.header("retry-after")),
        (&json!("running"), "1")
    );
    // The caller goes away; its request runs on, and the repeat gets the answer.
    first.abort();
    edge.answer(&ann, &frame, &json!("yes"));
    until("the answer is there", async || {
        with_key(&open, "k", Method::POST, path, question).await.status == 200
    })
    .await;
    assert_eq!(
        with_key(&open, "k", Method::POST, path, question).await.json(),
        json!({"answer": "yes"})
    );
    assert!(ann.frames.try_recv().is_err(), "asked once");
}

#[tokio::test]
async fn errors_are_repeated_too_but_not_those_of_requests_of_which_nothing_was_done() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let open = cluster.open();
    let path = "/api/v1/clients/ann/messages";
    let several = r#"{"event":"b","ids":["ann","bob"]}"#;
    with_key(&open, "k", Method::POST, path, r#"{"event":"a"}"#)
        .await
        .is_offline();
    with_key(&open, "several", Method::POST, "/api/v1/clients/messages", several)
        .await
        .is_offline();
    let mut ann = edge.client("ann").await;
    let sent = with_key(&open, "k", Method::POST, path, r#"{"event":"a"}"#).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let sent = with_key(&open, "several", Method::POST, "/api/v1/clients/messages", several).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    for event in ["a", "b"] {
        assert_eq!(ann.frame().await, format!(r#"{{"event":"{event}","payload":null}}"#));
    }
    let question = r#"{"event":"ready?","timeoutMs":50}"#;
    for _ in 0..2 {
        let silent = with_key(&open, "q", Method::POST, "/api/v1/clients/ann/requests", question).await;
        silent.problem(504);
    }
    assert!(ann.frame().await.contains("ready?"));
    assert!(ann.frames.try_recv().is_err(), "asked once");
    // No token: the key is not even read.
    let guarded = cluster.guarded();
    with_key(&guarded, "k", Method::POST, path, r#"{"event":"a"}"#)
        .await
        .problem(401);
    let mut request = keyed("k", Method::POST, path, r#"{"event":"a"}"#);
    let bearer = format!("Bearer {TOKEN}").parse().expect("a header");
    request.headers_mut().insert("authorization", bearer);
    assert_eq!(timeout(send(&guarded, request)).await.status, 202);
}

#[tokio::test]
async fn a_panic_and_what_is_perhaps_done_are_answered_once_and_say_not_when_to_try_again() {
    let cluster = Cluster::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let (bugs, failures) = (runs.clone(), runs.clone());
    let bug = async move || -> &'static str {
        bugs.fetch_add(1, Relaxed);
        panic!("a bug of the test");
    };
    let failure = async move || {
        failures.fetch_add(1, Relaxed);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it is not known what was done")
    };
    let router = Router::new()
        .route("/bug", post_to(bug))
        .route("/failure", post_to(failure))
        .layer(from_fn_with_state(cluster.api(None), once));
    for (path, status) in [("/bug", 500), ("/failure", 503)] {
        runs.store(0, Relaxed);
        for _ in 0..2 {
            let answer = with_key(&router, path, Method::POST, path, "").await;
            answer.problem(status);
            assert_eq!(answer.header("retry-after"), "", "{path}");
        }
        assert_eq!(runs.load(Relaxed), 1, "{path}");
    }
    // Without a key it may be tried again.
    assert_eq!(post(&router, "/failure", "").await.header("retry-after"), "1");
}

#[tokio::test]
async fn a_key_that_is_no_key_is_rejected() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for key in ["", "a b", &"x".repeat(129), "\"\""] {
        let answer = with_key(&open, key, Method::POST, "/api/v1/broadcast", r#"{"event":"a"}"#).await;
        assert!(answer.problem(400).contains("Idempotency-Key"), "{key}");
    }
    // Reading is repeated as often as anyone likes.
    for _ in 0..2 {
        assert_eq!(with_key(&open, "", Method::GET, "/api/v1/stats", "").await.status, 200);
    }
}
