//! What the adapter promises about the time limits of requests, on both buses: no work is done for a caller that has given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use wsmesh_adapter::{Adapter, Missing, Payload, Refusal, RequestError, RequestOptions, Target};

use crate::support::ground::{Ground, redis_bus, suite, text};
use crate::support::raw::Stranger;
use crate::support::redis::Redis;
use crate::support::*;

suite![
    a_service_sees_how_long_its_caller_waits,
    the_time_that_is_left_travels_with_a_request_that_is_made_for_a_request,
    a_request_whose_caller_gives_up_while_it_is_queued_is_not_handled,
    a_handler_is_told_that_its_caller_has_given_up_and_its_reply_is_not_sent,
    a_request_without_time_is_not_sent,
];

const LONG: Duration = Duration::from_secs(60);

fn to(name: &str) -> Target {
    Target::Server(server(name))
}

fn within(limit: Duration) -> RequestOptions {
    RequestOptions {
        timeout: Some(limit),
        ..RequestOptions::default()
    }
}

fn abandoned(server: &Server) -> u64 {
    counted(server, "wsmesh_requests_total", &["in", "abandoned"])
}

async fn gives_up(adapter: &Adapter, event: &str, limit: Duration) {
    let error = adapter.call(to("two"), event, Payload::null(), within(limit)).await;
    let error = error.expect_err("nobody answers");
    assert!(
        matches!(
            error,
            RequestError::Missing {
                why: Missing::TimedOut,
                ..
            }
        ),
        "{error}"
    );
}

async fn a_service_sees_how_long_its_caller_waits(ground: Ground) {
    let (one, two) = ground.pair().await;
    for asked in [&one, &two] {
        asked.adapter.on_request("left", |event| async move {
            let left = event.remaining().expect("a request has a limit");
            assert!(!event.is_abandoned());
            Ok::<_, Refusal>(left.as_millis() as u64)
        });
        for (limit, most) in [(Some(LONG), 60_000), (None, 4000)] {
            let options = RequestOptions {
                timeout: limit,
                ..RequestOptions::default()
            };
            let name = asked.adapter.name().as_str();
            let left: u64 = one
                .adapter
                .call_typed(to(name), "left", "", options)
                .await
                .expect("answered");
            assert!((most / 2..=most).contains(&left), "{left} of {most}");
        }
    }
    let mut listener = two.adapter.listen("say");
    one.adapter.emit(to("two"), "say", Payload::null()).await.expect("sent");
    let event = soon("the event", listener.next()).await.expect("listening");
    assert_eq!((event.remaining(), event.is_abandoned()), (None, false));
}

async fn the_time_that_is_left_travels_with_a_request_that_is_made_for_a_request(ground: Ground) {
    let (one, two) = ground.pair().await;
    let three = Server::ready(ground.options("three", "ws-node")).await;
    acquainted(&[&one, &two, &three]).await;
    let next = two.adapter.clone();
    two.adapter.on_request("first", move |event| {
        let next = next.clone();
        async move {
            let options = RequestOptions::within(&event);
            let left: Result<u64, _> = next.call_typed(to("three"), "second", "", options).await;
            left.map_err(|error| Refusal::new("INTERNAL", error.to_string()))
        }
    });
    three.adapter.on_request("second", |event| async move {
        Ok::<_, Refusal>(event.remaining().expect("a limit").as_millis() as u64)
    });
    let asking = one.adapter.call_typed(to("two"), "first", "", within(LONG));
    let left: u64 = asking.await.expect("answered");
    // Without it, it would be the default of 4 s.
    assert!((20_000..=60_000).contains(&left), "{left}");
}

async fn a_request_whose_caller_gives_up_while_it_is_queued_is_not_handled(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (gate, handled) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opened, counting) = (gate.clone(), handled.clone());
    two.adapter.on_request("work", move |_| {
        let (opened, counting) = (opened.clone(), counting.clone());
        async move {
            counting.fetch_add(1, Ordering::Relaxed);
            opened.acquire().await.expect("open").forget();
            Ok::<_, Refusal>("done")
        }
    });
    let ask = |limit| {
        let adapter = one.adapter.clone();
        tokio::spawn(async move { adapter.call(to("two"), "work", Payload::null(), within(limit)).await })
    };
    two.adapter.on_request("arrived", |_| async { Ok::<_, Refusal>("yes") });
    let first = ask(LONG);
    until("the first one runs", || handled.load(Ordering::Relaxed) == 1).await;
    let limit = Duration::from_millis(100);
    gives_up(&one.adapter, "work", limit).await;
    // Over there its time begins when it arrives, which is later on a busy machine. What was sent after it has arrived then.
    let after = one.adapter.call(to("two"), "arrived", Payload::null(), within(LONG));
    after.await.expect("answered");
    tokio::time::sleep(2 * limit).await;
    let last = ask(LONG);
    gate.add_permits(2);
    for asked in [first, last] {
        soon("an answer", asked).await.expect("no panic").expect("answered");
    }
    assert_eq!(handled.load(Ordering::Relaxed), 2, "not for the one that gave up");
    assert_eq!(abandoned(&two), 1);
}

async fn a_handler_is_told_that_its_caller_has_given_up_and_its_reply_is_not_sent(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut listener = two.adapter.listen("work");
    // Long enough that the listener gets it even on a busy machine.
    let (_, event) = tokio::join!(
        gives_up(&one.adapter, "work", Duration::from_secs(1)),
        soon("the request", listener.next())
    );
    let event = event.expect("listening");
    soon("the end of the caller's time", event.abandoned()).await;
    assert!(event.is_abandoned());
    assert_eq!(event.remaining(), Some(Duration::ZERO));
    event.reply(text("late")).await.expect("not an error");
    assert_eq!(abandoned(&two), 1);
    assert_eq!(counted(&two, "wsmesh_requests_total", &["in", "ok"]), 0);
}

async fn a_request_without_time_is_not_sent(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut listener = two.adapter.listen("work");
    gives_up(&one.adapter, "work", Duration::ZERO).await;
    let here = one
        .adapter
        .ask(Target::Everyone, "work", Payload::null(), within(Duration::ZERO));
    assert!(!here.await.expect("asked").complete());
    one.adapter.emit(to("two"), "work", text("later")).await.expect("sent");
    let event = soon("the event", listener.next()).await.expect("listening");
    assert!(!event.is_request());
}

/// A request of a server that is not in the roster, as an earlier version wrote it, with these additional fields in `wm`.
fn foreign(number: u64, fields: &str) -> String {
    format!(
        r#"{{"wm":{{"i":77,"s":{number},"t":1{fields}}},"data":{{"event":"work","senderServer":"old","targetServer":["one"],"callbackId":"{number}","payload":{number}}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_versions_and_hostile_limits_and_keys_are_understood_or_counted() {
    let redis = [Redis::start(&[])];
    let one = Server::ready(options("one", "ws-node", redis_bus(&redis))).await;
    let mut listener = one.adapter.listen("work");
    let mut old = Stranger::connect(redis[0].port, &["wsmesh:server:old"]).await;
    let key = "x".repeat(1024 * 1024);
    let fields = [
        // Nothing at all, as an earlier version.
        String::new(),
        r#","l":0"#.to_owned(),
        r#","l":4000,"a":4001"#.to_owned(),
        r#","l":-1"#.to_owned(),
        r#","l":1e400"#.to_owned(),
        r#","l":"NaN""#.to_owned(),
        r#","l":1.5"#.to_owned(),
        r#","k":7"#.to_owned(),
        r#","k":"","f":1"#.to_owned(),
        format!(r#","k":"{key}""#),
        format!(r#","l":{},"a":{}"#, u64::MAX, u64::MAX),
        format!(r#","l":{}"#, u64::MAX),
        r#","l":60000,"k":"k","f":18446744073709551615"#.to_owned(),
    ];
    for (number, fields) in fields.iter().enumerate() {
        let envelope = foreign(number as u64, fields);
        old.publish("wsmesh:server:one", envelope.as_bytes()).await;
    }
    let mut got = Vec::new();
    for _ in 0..3 {
        let event = soon("a request", listener.next()).await.expect("listening");
        let number: u64 = event.payload.parse().expect("a number");
        got.push((number, event.remaining().is_some(), event.key.as_deref() == Some("k")));
        event.reply(Payload::null()).await.expect("sent");
    }
    assert_eq!(got, [(0, false, false), (11, true, false), (12, true, true)]);
    assert_eq!(counted(&one, "wsmesh_malformed_total", &[]), 5);
    assert_eq!(abandoned(&one), 3);
    let mut refused = Vec::new();
    for _ in 0..5 {
        let (_, reply) = old.next("old").await;
        if reply["data"]["payload"]["errorCode"] == "BAD_PAYLOAD" {
            refused.push(reply["data"]["callbackId"].clone());
        }
    }
    refused.sort_by_key(ToString::to_string);
    assert_eq!(refused, [json!("8"), json!("9")]);
}
