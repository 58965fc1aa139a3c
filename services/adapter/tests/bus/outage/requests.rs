//! Requests during an outage: they wait for a node within their own time limit, and no server is considered gone too
//! early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Fault, Missing, Payload, RequestError, RequestOptions, Target};

use super::{all, isolated, memory};
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_node_within_its_time_limit_and_does_not_run_after_it() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus).await;
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = handled.clone();
    two.adapter.on("work", move |event| {
        counting.fetch_add(1, Ordering::Relaxed);
        async move { event.reply(Payload::null()).await.expect("answered") }
    });
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let ask = |limit| {
        let options = RequestOptions {
            timeout: Some(limit),
            ..RequestOptions::default()
        };
        one.adapter
            .call(Target::Server(server("two")), "work", Payload::null(), options)
    };
    let error = soon("an answer", ask(Duration::from_millis(100)))
        .await
        .expect_err("no node");
    assert!(
        matches!(&error, RequestError::Missing { why: Missing::Unreachable(why), .. } if why.contains("no Redis node")),
        "{error}"
    );
    let patient = ask(Duration::from_secs(30));
    let heal = async {
        tokio::task::yield_now().await;
        all(&memory, Fault::None);
    };
    let (answer, ()) = tokio::join!(soon("an answer", patient), heal);
    answer.expect("it is sent when a node is heard");
    assert_eq!(handled.load(Ordering::Relaxed), 1, "the first one was given up");
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_within_its_time_limit_and_a_message_soon_even_if_every_node_hangs() {
    let (memory, bus) = memory();
    let (one, two) = pair_with(&bus, |options| options.probe_interval = Duration::from_secs(1)).await;
    let _bob = two.client("bob").await;
    all(&memory, Fault::Pause);
    let since = Instant::now();
    let options = RequestOptions {
        timeout: Some(Duration::from_secs(1)),
        ..RequestOptions::default()
    };
    let asking = one
        .adapter
        .call(Target::Server(server("two")), "work", Payload::null(), options);
    asking.await.expect_err("nobody answers");
    assert_eq!(since.elapsed().as_millis(), 1000);
    let since = Instant::now();
    let (bob, limit) = (client("bob"), Duration::from_secs(1));
    let asking = one.adapter.ask_client(&bob, frame, Some(limit));
    asking.await.expect_err("nobody answers");
    assert_eq!(since.elapsed().as_millis(), 1000);
    let since = Instant::now();
    one.adapter
        .to_client(&client("bob"), frame("x"))
        .await
        .expect("it waits");
    assert!(since.elapsed() <= Duration::from_secs(4), "{:?}", since.elapsed());
    let since = Instant::now();
    let joined = one.adapter.listen_channel("news").await;
    joined.expect_err("no node confirms it");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_server_is_considered_gone_during_an_outage_shorter_than_the_window() {
    let (memory, bus) = memory();
    let window = Duration::from_secs(30);
    let (one, two) = pair_with(&bus, |options| options.replay_window = window).await;
    let mut listener = two.adapter.listen("say");
    two.adapter.on("work", |event| async move {
        event.reply(Payload::null()).await.expect("answered")
    });
    let target = || Target::Server(server("two"));
    let options = RequestOptions {
        timeout: Some(window),
        ..RequestOptions::default()
    };
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let early = one.adapter.call(target(), "work", Payload::null(), options.clone());
    let outage = async {
        // Longer than a silent server stays in the roster when nodes are heard.
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!((one.adapter.servers().len(), two.adapter.servers().len()), (2, 2));
        one.adapter
            .emit(target(), "say", Payload::null())
            .await
            .expect("it waits for a node");
        let late = one.adapter.call(target(), "work", Payload::null(), options);
        let heal = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            all(&memory, Fault::None);
        };
        tokio::join!(late, heal).0
    };
    let (early, late) = tokio::join!(early, outage);
    early.expect("it waited for a node all the time");
    late.expect("the server is known still");
    soon("the event", listener.next()).await.expect("listening");
    // A server that died meanwhile is forgotten soon.
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    drop(two);
    tokio::time::sleep(Duration::from_secs(4)).await;
    all(&memory, Fault::None);
    until("the dead server is forgotten", || one.adapter.servers().len() == 1).await;
}
