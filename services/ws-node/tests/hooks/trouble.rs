//! Consumers that are away, slow or full, and servers that end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Server, until};
use crate::consumer::{ALL, Consumer, kind, url, watched};
use crate::door::counted;
use crate::server::{Act, Backend, answer};

const WAITING: &str = "wsmesh_lifecycle_events_waiting";

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_away_gets_everything_in_order_and_repeats_have_the_same_id() {
    let consumer = Consumer::start().await;
    let server = Server::alone(watched(&url(&consumer.backend), &["connected"], &json!({}))).await;
    consumer.set_away(true);
    for number in 0..150 {
        let client = server.client(&format!("c{number}")).await;
        drop(client);
    }
    until("it was tried more than once", || {
        counted(&server, "wsmesh_lifecycle_events_repeated_total", "1") >= 2.0
    })
    .await;
    assert_eq!(counted(&server, WAITING, "1"), 150.0);
    consumer.set_away(false);
    until("everything is told", || counted(&server, WAITING, "1") == 0.0).await;
    let told: Vec<_> = consumer
        .distinct()
        .into_iter()
        .map(|event| event["subject"].clone())
        .collect();
    let expected: Vec<_> = (0..150).map(|number| json!(format!("c{number}"))).collect();
    assert_eq!(told, expected);
    let taken = counted(&server, "wsmesh_lifecycle_events_sent_total", "1");
    assert_eq!(taken, 150.0, "each was taken once");
    let batches = consumer.backend.requests();
    assert!(
        batches
            .iter()
            .all(|batch| batch.body.matches("specversion").count() <= 100)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_many_events_wait_the_oldest_are_dropped_and_counted() {
    let consumer = Consumer::start().await;
    consumer.set_away(true);
    let settings = watched(&url(&consumer.backend), &["connected"], &json!({"max_waiting": 5}));
    let server = Server::alone(settings).await;
    drop(server.client("first").await);
    until("the first is being sent", || !consumer.events().is_empty()).await;
    for number in 0..20 {
        drop(server.client(&format!("c{number}")).await);
    }
    until("15 are dropped", || {
        counted(&server, "wsmesh_lifecycle_events_dropped_total", "full") == 15.0
    })
    .await;
    consumer.set_away(false);
    until("the rest is told", || counted(&server, WAITING, "1") == 0.0).await;
    let told: Vec<_> = consumer
        .distinct()
        .iter()
        .map(|event| event["subject"].clone())
        .collect();
    assert_eq!(told, ["first", "c15", "c16", "c17", "c18", "c19"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_told_for_as_long_as_they_are_kept_are_dropped_and_counted() {
    let consumer = Consumer::start().await;
    consumer.set_away(true);
    let settings = watched(&url(&consumer.backend), &["connected"], &json!({"keep_ms": 500}));
    let server = Server::alone(settings).await;
    drop(server.client("ann").await);
    until("it is dropped", || {
        counted(&server, "wsmesh_lifecycle_events_dropped_total", "too_old") == 1.0
    })
    .await;
    assert_eq!(counted(&server, WAITING, "1"), 0.0);
}

/// A consumer that takes no batch with more than ten events, and no event about the client `bad`.
async fn picky() -> Backend {
    Backend::start(|request| {
        let events: Vec<Value> = serde_json::from_str(&request.body).expect("a batch");
        let status = match &events[..] {
            batch if batch.len() > 10 => 413,
            batch if batch.iter().any(|event| event["subject"] == "bad") => 400,
            _ => 204,
        };
        Act::Send(answer(status, ""))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_its_consumer_refuses_is_dropped_alone_and_a_batch_that_is_too_large_is_divided() {
    let backend = picky().await;
    let server = Server::alone(watched(&url(&backend), &["connected"], &json!({}))).await;
    let names = (0..30).map(|number| {
        if number == 17 {
            "bad".to_owned()
        } else {
            format!("c{number}")
        }
    });
    let names: Vec<_> = names.collect();
    for name in &names {
        drop(server.client(name).await);
    }
    let dropped = |reason| counted(&server, "wsmesh_lifecycle_events_dropped_total", reason);
    until("everything is told or dropped", || {
        counted(&server, "wsmesh_lifecycle_events_sent_total", "1") == 29.0 && dropped("refused") == 1.0
    })
    .await;
    assert_eq!(counted(&server, WAITING, "1"), 0.0);
    let mut told: Vec<String> = Vec::new();
    for request in backend.requests() {
        let events: Vec<Value> = serde_json::from_str(&request.body).expect("a batch");
        let names = events
            .iter()
            .map(|event| event["subject"].as_str().expect("a client").to_owned());
        let names: Vec<_> = names.collect();
        if names.len() <= 10 && !names.contains(&"bad".to_owned()) {
            told.extend(names);
        }
    }
    let expected: Vec<_> = names.into_iter().filter(|name| name != "bad").collect();
    assert_eq!(told, expected, "each once, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_hangs_slows_no_client() {
    let backend = Backend::start(|_| Act::Hang).await;
    let server = Server::alone(watched(&url(&backend), &ALL, &json!({"timeout_ms": 60_000}))).await;
    let start = Instant::now();
    for number in 0..50 {
        let mut client = server.client(&format!("c{number}")).await;
        assert_eq!(client.request("echo", json!(1)).await, json!({"ok": true}));
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    until("a batch is on its way", || !backend.requests().is_empty()).await;
    drop(server.client("late").await.settled().await);
    assert_eq!(backend.requests().len(), 1, "one batch at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_tells_what_is_left() {
    let consumer = Consumer::start().await;
    let server = Server::alone(watched(&url(&consumer.backend), &ALL, &json!({}))).await;
    let (mut ann, mut bob) = (
        server.client("ann").await.settled().await,
        server.client("bob").await.settled().await,
    );
    let leaving = futures_util::future::join(ann.close_code(), bob.close_code());
    let (codes, ()) = tokio::join!(leaving, server.shut_down_within(Duration::from_secs(9)));
    assert_eq!(codes, (Some(1012), Some(1012)));
    let events = consumer.distinct();
    let gone: Vec<_> = events.iter().filter(|event| kind(event) == "disconnected").collect();
    assert_eq!(gone.len(), 2, "{events:#?}");
    assert!(gone.iter().all(|event| event["data"]["code"] == 1012), "{gone:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_counts_what_it_could_not_tell_and_ends_in_time() {
    let backend = Backend::start(|_| Act::Send(answer(503, ""))).await;
    let server = Server::alone(watched(&url(&backend), &["connected"], &json!({}))).await;
    drop(server.client("ann").await);
    until("it is tried", || !backend.requests().is_empty()).await;
    let registry = server.registry.clone();
    server.shut_down_within(Duration::from_secs(6)).await;
    let families = registry.gather();
    let dropped = families
        .iter()
        .find(|family| family.name() == "wsmesh_lifecycle_events_dropped_total");
    let metrics = dropped.expect("registered").get_metric();
    let ended = metrics
        .iter()
        .find(|metric| metric.get_label().iter().any(|pair| pair.value() == "ended"));
    assert_eq!(ended.expect("counted").get_counter().get_value(), 1.0);
}
