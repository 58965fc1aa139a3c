//! Too many requests at once, and requests that take too long.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get as on_get, post as on_post};
use tokio::sync::Semaphore;

use super::super::limits::{limit_requests, limit_time};
use super::fixture::{get, post, until};

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
