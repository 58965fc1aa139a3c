//! Traces: what the table of all SDKs cannot say, because it is about Rust.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use wsmesh_connector::{EmitError, Trace};

use crate::support::{Server, connected, soon};

const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_request_whose_future_is_dropped_ends_its_trace_once() {
    let server = Server::start().await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ended);
    let options = server.options().traces(move |event: &str| {
        let (seen, event) = (Arc::clone(&seen), event.to_owned());
        let trace = Trace::new(CONTEXT.to_owned());
        Some(trace.on_end(move |error| seen.lock().push((event, error.map(str::to_owned)))))
    });
    let (client, mut peer, _task) = connected(&server, options).await;
    let mut asked = Box::pin(client.request("ask", &1).into_future());
    assert!(futures_util::poll!(&mut asked).is_pending());
    let frame = peer.json().await;
    assert!(ended.lock().is_empty());
    drop(asked);
    peer.say(json!({"payload": 2, "callbackId": frame["callbackId"]})).await;
    assert_eq!(
        soon("a reply", client.request("", &1).into_future())
            .await
            .expect_err("no name")
            .code(),
        "BAD_PAYLOAD"
    );
    let seen = std::mem::take(&mut *ended.lock());
    assert_eq!(seen, [("ask".to_owned(), Some("CANCELLED".to_owned()))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_begin_delays_only_its_own_caller_and_is_not_part_of_the_time_limit() {
    let server = Server::start().await;
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let (entered, mut inside) = tokio::sync::mpsc::unbounded_channel();
    let options = server.options().traces(move |event: &str| {
        if event == "slow" {
            entered.send(()).expect("the test waits");
            held.lock().recv().expect("released");
        }
        Some(Trace::new(CONTEXT.to_owned()))
    });
    let (client, mut peer, _task) = connected(&server, options).await;
    let slow = {
        let client = client.clone();
        tokio::spawn(async move { client.request("slow", &1).timeout(Duration::from_secs(60)).await })
    };
    soon("the hook runs", inside.recv()).await.expect("called");
    assert!(client.is_open());
    client.emit("say", &1).await.expect("open");
    assert_eq!(peer.json().await["event"], "say", "others go on");
    release.send(()).expect("it waits");
    let frame = peer.json().await;
    assert_eq!(
        (&frame["event"], &frame["traceparent"]),
        (&json!("slow"), &json!(CONTEXT))
    );
    peer.say(json!({"payload": 2, "callbackId": frame["callbackId"]})).await;
    assert_eq!(
        soon("a reply", slow)
            .await
            .expect("it ends")
            .expect("answered")
            .as_str(),
        "2"
    );
}

#[tokio::test]
async fn an_event_that_finds_a_full_queue_ends_its_trace_with_an_error() {
    let server = Server::start().await;
    let codes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&codes);
    let mut options = server.options().traces(move |_: &str| {
        let seen = Arc::clone(&seen);
        Some(Trace::new(None).on_end(move |error| seen.lock().push(error.map(str::to_owned))))
    });
    options.send_queue = 1;
    let (client, _peer, _task) = connected(&server, options).await;
    // Nothing is written in between: there is one thread.
    client.try_emit("say", &1).expect("room for one");
    assert!(matches!(client.try_emit("say", &2), Err(EmitError::Full)));
    assert_eq!(*codes.lock(), [None, Some("WS_FULL".to_owned())]);
}
