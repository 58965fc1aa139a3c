//! Slow, hanging, blocking and panicking handlers: they delay their own client only, whose events stay in order.

use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use ws_node::{Client, ClientFault, EdgeSettings, Refusal};

use crate::common::{Received, demo};
use crate::support::{Notes, code, counter, server, server_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_client_are_handled_one_after_the_other_in_the_order_of_sending() {
    const EVENTS: u32 = 200;
    let notes = Notes::default();
    let noted = notes.clone();
    let server = server(|node| {
        node.on("count", move |_: Client, number: u32| {
            let notes = noted.clone();
            async move {
                notes.add(format!("{number} begins"));
                // The earlier ones take longer.
                for _ in 0..(EVENTS - number) % 7 {
                    tokio::task::yield_now().await;
                }
                notes.add(format!("{number} ends"));
                Ok::<_, Refusal>(number)
            }
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    for number in 0..EVENTS {
        let mut frame = json!({"event": "count", "payload": number});
        if number % 2 == 0 && number < 100 {
            frame["callbackId"] = json!(number);
        }
        ann.send(frame.to_string()).await;
    }
    let expected: Vec<_> = (0..EVENTS)
        .flat_map(|number| [format!("{number} begins"), format!("{number} ends")])
        .collect();
    assert_eq!(notes.first(expected.len()).await, expected);
    for number in (0..100).step_by(2) {
        assert_eq!(ann.frame().await, json!({"callbackId": number, "payload": number}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hangs_delays_neither_heartbeats_nor_built_in_events_nor_other_clients() {
    let settings = EdgeSettings {
        request_timeout: Duration::from_millis(300),
        ..demo()
    };
    let server = server_with(settings, |node| {
        node.on("hang", |_: Client, _: Value| async {
            std::future::pending::<()>().await;
        })
        .on("quick", |_: Client, _: Value| async {})
    })
    .await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    ann.send(r#"{"event":"hang","callbackId":"h"}"#).await;
    ann.send("").await;
    assert_eq!(ann.next().await, Received::Text(String::new()));
    assert_eq!(bob.request("quick", json!(1)).await, json!({"ok": true}));
    ann.send(r#"{"event":"echo","callbackId":"e"}"#).await;
    assert_eq!(ann.frame().await["callbackId"], "e");
    let late = ann.frame().await;
    assert_eq!(
        (late["callbackId"].as_str(), code(&late["payload"])),
        (Some("h"), "TIMEOUT")
    );
    // What hung is given up: the next event has its turn.
    assert_eq!(ann.request("quick", json!(1)).await, json!({"ok": true}));
    assert_eq!(counter(&server, "wsmesh_handler_failures_total"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_stops_no_shard_and_its_client_is_answered_in_time() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let settings = EdgeSettings {
        shards: 1,
        request_timeout: Duration::from_millis(300),
        ..demo()
    };
    let server = server_with(settings, |node| {
        node.on("block", move |_: Client, _: Value| {
            let _until_released = released.lock().recv();
            async {}
        })
    })
    .await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    assert_eq!(code(&ann.request("block", json!(1)).await), "TIMEOUT");
    ann.send("").await;
    assert_eq!(
        ann.next().await,
        Received::Text(String::new()),
        "a heartbeat while its handler blocks"
    );
    assert_eq!(bob.request("echo", json!(1)).await, json!({"ok": true}));
    release.send(()).expect("it waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_is_answered_internal_is_reported_and_ends_nothing_else() {
    let notes = Notes::default();
    let noted = notes.clone();
    let server = server(|node| {
        node.on("at once", |_: Client, number: u32| {
            assert_eq!(number, 0, "on purpose");
            async {}
        })
        .on("later", |_: Client, _: Value| async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "on purpose");
        })
        .on_error(move |client, fault| {
            let ClientFault::Panicked { event } = fault else {
                panic!("{fault:?}")
            };
            noted.add(format!("{}: {event}", client.id()));
            async {}
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    for event in ["at once", "later"] {
        let refused = ann.request(event, json!(1)).await;
        assert_eq!(code(&refused), "INTERNAL", "{event}");
        assert!(!refused.to_string().contains("purpose"), "{refused}");
    }
    ann.emit("later", json!(1)).await;
    assert_eq!(ann.request("at once", json!(0)).await, json!({"ok": true}));
    assert_eq!(notes.first(3).await, ["ann: at once", "ann: later", "ann: later"]);
    assert_eq!(counter(&server, "wsmesh_handler_failures_total"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_handlers_are_slow_has_a_bounded_number_of_events_in_flight() {
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let (opened, notes) = (gate.clone(), Notes::default());
    let noted = notes.clone();
    let server = server(|node| {
        node.on("slow", move |_: Client, number: u32| {
            let (gate, notes) = (gate.clone(), noted.clone());
            async move {
                let _passed = gate.acquire().await;
                notes.add(number.to_string());
            }
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    for number in 0..100 {
        ann.send(json!({"event": "slow", "payload": number, "callbackId": number}).to_string())
            .await;
    }
    // More than 64 requests do not wait; these are refused at once, before the others are handled.
    for number in 64..100 {
        let refused = ann.frame().await;
        assert_eq!(
            (refused["callbackId"].as_u64(), code(&refused["payload"])),
            (Some(number), "OVERLOADED")
        );
    }
    opened.add_permits(1);
    for number in 0..64 {
        assert_eq!(ann.frame().await["callbackId"], number);
    }
    assert_eq!(notes.all().len(), 64);
}
