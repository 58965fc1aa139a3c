//! Retries and the breaker: what is sent again, and when a backend is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use ws_node::Rule;

use crate::common::{Server, demo, until};
use crate::misbehaving::metric;
use crate::server::{Act, Backend, answer};

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_after_failures_in_a_row_and_closes_when_the_backend_works_again() {
    let works = Arc::new(AtomicBool::new(false));
    let working = Arc::clone(&works);
    let backend = Backend::start(move |_| {
        let status = if working.load(Ordering::SeqCst) { 200 } else { 500 };
        Act::Send(answer(status, "1"))
    })
    .await;
    let mut settings = demo();
    settings.rules.push(Rule {
        breaker_failures: Some(5),
        breaker_open_ms: Some(300),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let open = || metric(&server.registry, "wsmesh_backend_breaker_open", "ask", None);
    let mut ann = server.client("ann").await;
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(ann.request("ask", json!(1)).await["errorCode"], "UNAVAILABLE");
    }
    let probes = start.elapsed().as_millis() as usize / 300;
    let asked = backend.requests().len();
    assert!(
        (5..=5 + probes).contains(&asked),
        "{asked} requests, time for {probes} probes"
    );
    assert_eq!(open(), 1);
    works.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(10);
    while ann.request("ask", json!(1)).await != json!(1) {
        assert!(Instant::now() < deadline, "it stays open");
    }
    until("it is closed", || open() == 0).await;
    for _ in 0..20 {
        assert_eq!(ann.request("ask", json!(1)).await, json!(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_clients_do_not_open_the_breaker() {
    let backend = Backend::start(|_| Act::Send(answer(422, "{}"))).await;
    let mut settings = demo();
    settings.rules.push(Rule {
        breaker_failures: Some(2),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for _ in 0..20 {
        assert_eq!(ann.request("ask", json!(1)).await["errorCode"], "BAD_PAYLOAD");
    }
    assert_eq!(backend.requests().len(), 20);
}

/// Hangs up without an answer on every second request, also on connections that were just made.
async fn moody() -> Backend {
    let count = AtomicUsize::new(0);
    Backend::start(move |_| {
        if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            Act::SendAndClose(Vec::new())
        } else {
            Act::Send(answer(200, "1"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_backend_may_have_is_sent_again_only_if_the_rule_says_so_and_with_the_same_id() {
    let (careful, idempotent) = (moody().await, moody().await);
    let mut settings = demo();
    settings.rules.extend([
        careful.rule("once"),
        Rule {
            idempotent: Some(true),
            ..idempotent.rule("again")
        },
    ]);
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("once", json!(1)).await["errorCode"], "UNAVAILABLE");
    assert_eq!(careful.requests().len(), 1);
    assert_eq!(ann.request("again", json!(1)).await, json!(1));
    let requests = idempotent.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("ce-id"), requests[1].header("ce-id"));
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(
        metric(&server.registry, "wsmesh_backend_retries_total", "again", None),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_backend_closes_after_any_answer_cost_no_event() {
    let count = AtomicUsize::new(0);
    let backend = Backend::start(move |_| {
        // Without `connection: close`, as a server that restarts or is out of patience.
        match count.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Act::SendAndClose(answer(200, "1")),
            _ => Act::Send(answer(200, "1")),
        }
    })
    .await;
    let mut settings = demo();
    settings.rules.push(Rule {
        idempotent: Some(true),
        ..backend.rule("ask")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for round in 0..60 {
        assert_eq!(ann.request("ask", json!(1)).await, json!(1), "{round}");
    }
    let ids: std::collections::BTreeSet<_> = backend
        .requests()
        .iter()
        .map(|request| request.header("ce-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 60, "each event has one id, however often it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_to_a_backend_that_is_down_are_bounded_by_a_budget() {
    let address = Backend::start(|_| Act::Hang).await.address;
    let mut settings = demo();
    settings.rules.push(Rule {
        breaker_failures: Some(0),
        ..crate::server::rule("ask", &format!("http://{address}/"))
    });
    let server = Server::alone(settings).await;
    let clients = (0..20).map(|number| {
        let server = &server;
        async move {
            let mut client = server.client(&format!("c{number}")).await;
            for _ in 0..20 {
                assert_eq!(client.request("ask", json!(1)).await["errorCode"], "UNAVAILABLE");
            }
        }
    });
    futures_util::future::join_all(clients).await;
    let retried = metric(&server.registry, "wsmesh_backend_retries_total", "ask", None);
    // Ten a second for ten seconds, and none for the failures themselves.
    assert!((2..=120).contains(&retried), "{retried} retries of 400 events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_comes_back_gets_the_event_of_a_client_that_waits() {
    let address = Backend::start(|_| Act::Hang).await.address;
    let mut settings = demo();
    settings
        .rules
        .push(crate::server::rule("ask", &format!("http://{address}/")));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("ask", json!(1)).await["errorCode"], "UNAVAILABLE");
    let _backend = Backend::start_on(address, |_| Act::Send(answer(200, "1"))).await;
    assert_eq!(ann.request("ask", json!(1)).await, json!(1));
}
