//! Too many requests at once, too many bodies in memory, and requests that take too long.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get as on_get, post as on_post};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::super::bodies::Budget;
use super::super::limits::{MAX_BATCHES, limit_requests, limit_time};
use super::super::once::once;
use super::fixture::{Answer, Cluster, batch, get, post, send, timeout, until};

/// A body of unknown size, `{}`, and how to know that it is being read, and to end it.
fn slow_body() -> (Body, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let first = stream::once(async move {
        // The test may not care.
        let _ = begin.send(());
        Ok::<_, std::io::Error>(Bytes::from_static(b"{"))
    });
    let rest = stream::once(async move {
        if ended.await.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(Bytes::from_static(b"}"))
    });
    (Body::from_stream(first.chain(rest)), begun, end)
}

fn spawn(router: &Router, request: Request<Body>) -> JoinHandle<Answer> {
    let router = router.clone();
    tokio::spawn(async move { send(&router, request).await })
}

fn is_overloaded(answer: &Answer) {
    answer.problem(503);
    assert_eq!(
        (answer.json()["code"].as_str(), answer.header("retry-after")),
        (Some("overloaded"), "1")
    );
}

#[tokio::test]
async fn requests_beyond_the_limit_are_rejected_at_once_over_all_routes() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let router = Router::new()
        .route(
            "/waits",
            on_get(async move || drop(waits.acquire().await.expect("open"))),
        )
        .route("/other", on_post(async || "done"));
    let router = limit_requests(router, 2);
    let running: Vec<_> = (0..2)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { get(&router, "/waits").await.status })
        })
        .collect();
    until("both run", async || post(&router, "/other", "").await.status == 503).await;
    let rejected = post(&router, "/other", "").await;
    rejected.problem(503);
    assert_eq!(
        (rejected.json()["code"].as_str(), rejected.header("retry-after")),
        (Some("overloaded"), "1")
    );
    gate.add_permits(2);
    for one in running {
        assert_eq!(one.await.expect("no panic"), 200);
    }
    assert_eq!(post(&router, "/other", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_too_long_is_ended() {
    let router = Router::new().route("/never", on_get(std::future::pending::<()>));
    let router = limit_time(router, std::time::Duration::from_secs(9));
    assert!(get(&router, "/never").await.problem(408).contains("9 seconds"));
}

#[tokio::test]
async fn a_batch_counts_before_its_body_is_read_also_with_a_key() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let mut slow = Vec::new();
    for number in 0..MAX_BATCHES {
        let (body, begun, end) = slow_body();
        let request = Request::post("/api/v1/batch")
            .header("content-type", "application/x-ndjson")
            .header("idempotency-key", format!("key-{number}"))
            .body(body);
        slow.push((spawn(&open, request.expect("a request")), end));
        timeout(begun).await.expect("it is read");
    }
    let line = r#"{"query":{"ids":["ann"]}}"#;
    is_overloaded(&batch(&open, line).await);
    // The others go on.
    assert_eq!(get(&open, "/api/v1/stats").await.status, 200);
    for (running, end) in slow {
        end.send(()).expect("it is read");
        // `{}` is no command.
        assert_eq!(running.await.expect("no panic").lines()[0]["status"], 400);
    }
    assert_eq!(batch(&open, line).await.status, 200);
}

#[tokio::test]
async fn all_bodies_together_are_bounded_before_they_are_read() {
    let router = Router::new().route("/takes", on_post(async |body: Bytes| body.len().to_string()));
    let router = Budget::of(100).limit(router, 60);
    let (body, begun, end) = slow_body();
    let slow = spawn(&router, Request::post("/takes").body(body).expect("a request"));
    let sized = |bytes: usize| "x".repeat(bytes);
    timeout(begun).await.expect("it is read");
    // It may have 60 bytes, as it says not how many it has.
    is_overloaded(&post(&router, "/takes", sized(41)).await);
    is_overloaded(&post(&router, "/takes", slow_body().0).await);
    assert_eq!(post(&router, "/takes", sized(40)).await.text, "40");
    assert_eq!(post(&router, "/takes", "").await.text, "0");
    end.send(()).expect("it is read");
    assert_eq!(slow.await.expect("no panic").text, "2");
    assert_eq!(post(&router, "/takes", sized(60)).await.text, "60");
    assert_eq!(post(&router, "/takes", sized(61)).await.status, 413);
}

#[tokio::test]
async fn the_body_of_a_request_with_a_key_counts_until_it_has_ended() {
    let cluster = Cluster::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let handler = async move |_: Bytes| drop(waits.acquire().await.expect("open"));
    let router = Router::new()
        .route("/waits", on_post(handler))
        .layer(from_fn_with_state(cluster.api(None), once));
    let router = Budget::of(100).limit(router.route("/takes", on_post(async |_: Bytes| ())), 60);
    let request = Request::post("/waits")
        .header("idempotency-key", "k")
        .body("x".repeat(60).into());
    let running = spawn(&router, request.expect("a request"));
    let full = async || post(&router, "/takes", "x".repeat(41)).await.status == 503;
    until("it runs", full).await;
    // The caller goes away.
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    assert!(full().await);
    gate.add_permits(1);
    until("it has ended", async || !full().await).await;
}
