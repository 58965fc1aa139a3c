//! Backends that fail in every way: the client gets the stated code within the stated time, others notice nothing, and nothing
//! is left over.

use std::time::{Duration, Instant};

use prometheus::Registry;
use serde_json::json;
use ws_node::Rule;

use crate::common::{Received, Server, demo, until};
use crate::server::{Act, Backend, answer, rule};

/// Time limit of the rule that misbehaves.
const LIMIT: Duration = Duration::from_millis(700);

/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(5);

/// The sum of a metric for one backend; the number of observations, if it is a histogram.
pub(crate) fn metric(registry: &Registry, name: &str, backend: &str, result: Option<&str>) -> u64 {
    let families = registry.gather();
    let family = families.iter().filter(|family| family.name() == name);
    let metrics = family.flat_map(|family| family.get_metric().to_vec());
    let fits = |metric: &prometheus::proto::Metric| {
        let label = |name: &str, value: &str| {
            let mut labels = metric.get_label().iter();
            labels.any(|label| label.name() == name && label.value() == value)
        };
        label("backend", backend) && result.is_none_or(|result| label("result", result))
    };
    let value = |metric: prometheus::proto::Metric| {
        let (counter, gauge) = (metric.get_counter().get_value(), metric.get_gauge().get_value());
        (counter + gauge) as u64 + metric.get_histogram().get_sample_count()
    };
    metrics.filter(fits).map(value).sum()
}

pub(crate) fn in_flight(server: &Server, event: &str) -> u64 {
    metric(&server.registry, "wsmesh_backend_in_flight", event, None)
}

/// Starts a ws-node with this misbehaving rule and a good one, and asks both. The misbehaving one must answer with this code in
/// time, and everything else meanwhile.
async fn check(bad: Rule, code: &str, label: &str) {
    let good = Backend::start(|_| Act::Send(answer(200, "\"good\""))).await;
    let mut settings = demo();
    settings.rules.extend([bad, good.rule("good")]);
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await.settled().await;
    let mut bob = server.client("bob").await;
    let start = Instant::now();
    ann.send(r#"{"event":"bad","payload":{},"callbackId":"bad"}"#).await;
    ann.emit("bad", json!(null)).await;
    for round in 0..5 {
        ann.send("").await;
        ann.send(json!({"event": "echo", "callbackId": format!("echo{round}")}).to_string())
            .await;
        ann.send(json!({"event": "good", "callbackId": format!("good{round}")}).to_string())
            .await;
        assert_eq!(bob.request("good", json!(1)).await, "good");
        assert_eq!(bob.request("echo", json!(1)).await, json!({"ok": true}));
    }
    let (mut heartbeats, mut others, mut refused) = (0, 0, None);
    while heartbeats < 5 || others < 10 || refused.is_none() {
        match ann.next().await {
            Received::Text(text) if text.is_empty() => heartbeats += 1,
            Received::Frame(frame) if frame["callbackId"] == "bad" => refused = Some((frame, start.elapsed())),
            Received::Frame(frame) => {
                let payload = &frame["payload"];
                assert!(*payload == "good" || *payload == json!({"ok": true}), "{frame}");
                others += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let (refused, took) = refused.expect("answered");
    assert_eq!(refused["payload"]["errorCode"], code, "{refused}");
    assert!(took < LIMIT + SLACK, "{took:?}");
    until("nothing is left in flight", || in_flight(&server, "bad") == 0).await;
    let requests = |result| metric(&server.registry, "wsmesh_backend_requests_total", "bad", result);
    until("both events are counted", || requests(None) >= 2).await;
    assert!(requests(Some(label)) >= 1, "{label} is not counted");
    server.shut_down().await;
}

fn limited(rule: Rule) -> Rule {
    Rule {
        timeout_ms: Some(LIMIT.as_millis() as u64),
        ..rule
    }
}

/// As [`check`], for a backend that does this.
async fn check_act(act: Act, code: &str, label: &str) {
    let backend = Backend::start(move |_| act.clone()).await;
    check(limited(backend.rule("bad")), code, label).await;
    until("the backend has nothing to do any more", || backend.under_way() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_down() {
    // Nothing listens there any more.
    let address = Backend::start(|_| Act::Hang).await.address;
    check(
        limited(rule("bad", &format!("http://{address}/"))),
        "UNAVAILABLE",
        "unreachable",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_whose_name_is_unknown() {
    check(
        limited(rule("bad", "http://does-not-exist.invalid/")),
        "UNAVAILABLE",
        "unreachable",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs() {
    check_act(Act::Hang, "TIMEOUT", "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_a_byte_at_a_time() {
    let every = Duration::from_millis(100);
    check_act(Act::Drip(answer(200, "{}"), every), "TIMEOUT", "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_garbage() {
    let garbage = b"\x00\xff this is not HTTP\r\n\r\n".to_vec();
    check_act(Act::SendAndClose(garbage), "UNAVAILABLE", "broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_200_with_garbage() {
    check_act(Act::Send(answer(200, "<html>")), "INTERNAL", "2xx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_five_megabytes() {
    check_act(Act::Send(answer(200, &"1".repeat(5 << 20))), "INTERNAL", "bad_answer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_stops_sending_its_head() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(2 << 20));
    check_act(Act::Send(endless.into()), "UNAVAILABLE", "broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_redirects() {
    let elsewhere = Backend::start(|_| Act::Send(answer(200, "1"))).await;
    let address = elsewhere.address;
    let redirect = format!("HTTP/1.1 307 X\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
    check_act(Act::Send(redirect.into()), "INTERNAL", "3xx").await;
    assert!(elsewhere.requests().is_empty(), "redirects are not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_off_its_answer() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":".to_vec();
    check_act(Act::SendAndClose(half), "UNAVAILABLE", "broken").await;
    check_act(Act::SendAndClose(b"HTTP/1.1 200 O".to_vec()), "UNAVAILABLE", "broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_up() {
    check_act(Act::SendAndClose(Vec::new()), "UNAVAILABLE", "broken").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_sooner_is_answered_then_and_does_not_open_the_breaker() {
    let backend = Backend::start(|_| Act::Later(Duration::from_millis(300), answer(200, "1"))).await;
    let mut settings = demo();
    settings.rules.push(Rule {
        ordered: Some(false),
        breaker_failures: Some(3),
        ..backend.rule("slow")
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for id in 0..5 {
        let request = json!({"event": "slow", "payload": 1, "callbackId": id, "timeoutMs": 50});
        ann.send(request.to_string()).await;
    }
    for _ in 0..5 {
        assert_eq!(ann.frame().await["payload"]["errorCode"], "TIMEOUT");
    }
    assert_eq!(ann.request("slow", json!(1)).await, json!(1), "it is still called");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_may_be_under_way_are_refused_at_once_and_the_others_are_answered() {
    let backend = Backend::start(|_| Act::Hang).await;
    let mut settings = demo();
    settings.rules.push(Rule {
        max_in_flight: Some(4),
        ordered: Some(false),
        ..limited(backend.rule("bad"))
    });
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for id in 0..20 {
        ann.send(json!({"event": "bad", "payload": 1, "callbackId": id}).to_string())
            .await;
    }
    let mut codes = Vec::new();
    for _ in 0..20 {
        let mut frame = ann.frame().await;
        codes.push(frame["payload"]["errorCode"].take());
    }
    // Those that are refused do not wait for those that hang.
    let expected: Vec<_> = (0..20).map(|n| if n < 16 { "OVERLOADED" } else { "TIMEOUT" }).collect();
    assert_eq!(codes, expected);
    until("nothing is left in flight", || in_flight(&server, "bad") == 0).await;
    assert_eq!(backend.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_does_not_stop_a_flood_of_its_events_from_being_read() {
    let backend = Backend::start(|_| Act::Hang).await;
    let mut settings = demo();
    settings.rules.push(limited(backend.rule("bad")));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    for round in 0..500 {
        ann.emit("bad", json!(round)).await;
    }
    assert_eq!(ann.request("echo", json!(1)).await, json!({"ok": true}));
    ann.send("").await;
    assert_eq!(ann.next().await, Received::Text(String::new()));
    let counted = |result| metric(&server.registry, "wsmesh_backend_requests_total", "bad", result);
    until("all have ended", || {
        counted(None) == 500 && in_flight(&server, "bad") == 0
    })
    .await;
    assert_eq!(
        counted(Some("overloaded")),
        500 - 32,
        "a client may have so many at one URL"
    );
}
