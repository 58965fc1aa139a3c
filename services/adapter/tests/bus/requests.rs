//! What the adapter promises about requests between servers, on both buses.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use wsmesh_adapter::{Bus, Missing, Options, Payload, Pick, RequestError, RequestOptions, Scope, Target};

use crate::support::ground::{Ground, suite, text, value};
use crate::support::*;

suite![
    a_request_names_every_server_that_answered_or_did_not_and_why,
    a_request_to_any_server_of_a_service_is_answered_by_one,
    a_key_always_finds_the_same_server,
    a_server_can_ask_itself_without_a_bus,
    dropping_replies_cancels_a_request_and_the_expected_count_ends_it_early,
    a_request_is_cancelled_by_its_number,
    a_request_to_a_server_that_leaves_ends_at_once,
    a_server_that_leaves_answers_open_requests_and_gets_no_new_ones,
];

async fn a_request_names_every_server_that_answered_or_did_not_and_why(ground: Ground) {
    let (one, two) = ground.pair().await;
    let three = Server::ready(ground.options("three", "ws-node")).await;
    let four = Server::ready(ground.options("four", "ws-node")).await;
    acquainted(&[&one, &two, &three, &four]).await;
    two.adapter.on("sum", |event| async move {
        let sum = value(&event.payload)["a"].as_i64().expect("a number") + 1;
        event.reply(Payload::new(&sum).expect("JSON")).await.expect("sent");
    });
    let _keeps_waiting = three.adapter.listen("sum");
    let timeout = RequestOptions {
        timeout: Some(Duration::from_millis(400)),
        ..RequestOptions::default()
    };
    let payload = Payload::new(&json!({"a": 1})).expect("JSON");
    let outcome = one
        .adapter
        .ask(Target::Others, "sum", payload, timeout)
        .await
        .expect("asked");
    assert!(!outcome.complete());
    assert_eq!(outcome.replies.len(), 1);
    assert_eq!(
        (outcome.replies[0].server.as_str(), value(&outcome.replies[0].payload)),
        ("two", json!(2))
    );
    let mut missing = outcome.missing;
    missing.sort_by_key(|(server, _)| server.clone());
    assert_eq!(
        missing,
        [
            (server("four"), Missing::Unhandled),
            (server("three"), Missing::TimedOut)
        ]
    );
}

async fn a_request_to_any_server_of_a_service_is_answered_by_one(ground: Ground) {
    let (one, two) = ground.pair().await;
    for server in [&one, &two] {
        let name = server.adapter.name().to_string();
        server.adapter.on("who", move |event| {
            let name = name.clone();
            async move { event.reply(text(&name)).await.expect("sent") }
        });
    }
    let mut answered = std::collections::HashSet::new();
    for _ in 0..6 {
        let any = Target::AnyOf(service("ws-node"), Pick::LeastBusy);
        let reply = one
            .adapter
            .call(any, "who", Payload::null(), RequestOptions::default())
            .await
            .expect("answered");
        answered.insert(reply.server.to_string());
    }
    assert_eq!(answered.len(), 2, "equals take turns");
    let nobody = Target::AnyOf(service("nobody"), Pick::LeastBusy);
    let error = one
        .adapter
        .call(nobody, "who", Payload::null(), RequestOptions::default())
        .await
        .expect_err("nobody");
    assert_eq!(error.to_string(), "no live nobody server");
}

async fn a_key_always_finds_the_same_server(ground: Ground) {
    let (one, two) = ground.pair().await;
    for server in [&one, &two] {
        server.adapter.on("who", |event| async move {
            event.reply(Payload::null()).await.expect("sent")
        });
    }
    let mut spread = std::collections::HashSet::new();
    for key in 0..20 {
        let target = || Target::AnyOf(service("ws-node"), Pick::Key(format!("queue-{key}")));
        let call = |from: &Server| {
            let adapter = from.adapter.clone();
            async move {
                let reply = adapter
                    .call(target(), "who", Payload::null(), RequestOptions::default())
                    .await;
                reply.expect("answered").server
            }
        };
        let (a, b) = (call(&one).await, call(&two).await);
        assert_eq!(a, b, "both servers find the same one");
        spread.insert(a);
    }
    assert_eq!(spread.len(), 2);
}

async fn a_server_can_ask_itself_without_a_bus(ground: Ground) {
    let alone = Server::ready(Options {
        bus: Bus::Alone,
        ..ground.options("one", "ws-node")
    })
    .await;
    alone.adapter.on(
        "who",
        |event| async move { event.reply(text("me")).await.expect("local") },
    );
    let to_me = Target::Server(server("one"));
    let reply = alone
        .adapter
        .call(to_me, "who", Payload::null(), RequestOptions::default())
        .await
        .expect("answered");
    assert_eq!(value(&reply.payload), json!("me"));
    let everyone = alone
        .adapter
        .ask(Target::Everyone, "who", Payload::null(), RequestOptions::default())
        .await;
    assert_eq!(everyone.expect("asked").replies.len(), 1);
    let mut ann = alone.client("ann").await;
    alone
        .adapter
        .to_everyone(frame("x"), Scope::Cluster)
        .await
        .expect("nothing to send to");
    assert_eq!(ann.frame().await, "x");
    assert!(alone.adapter.is_ready());
}

async fn dropping_replies_cancels_a_request_and_the_expected_count_ends_it_early(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut requests = two.adapter.listen("slow");
    let first = one
        .adapter
        .request(Target::Others, "slow", Payload::null(), RequestOptions::default())
        .await;
    let waiting = soon("the request", requests.next()).await.expect("listening");
    drop(first);
    waiting.reply(text("too late")).await.expect("sent, and ignored");
    for server in [&one, &two] {
        server.adapter.on("quick", |event| async move {
            event.reply(Payload::null()).await.expect("sent")
        });
    }
    let options = RequestOptions {
        expected: Some(1),
        ..RequestOptions::default()
    };
    let replies = one
        .adapter
        .request(Target::Everyone, "quick", Payload::null(), options)
        .await
        .expect("asked");
    assert_eq!(soon("one reply", replies.count()).await, 1);
}

async fn a_request_is_cancelled_by_its_number(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut held = two.adapter.listen("slow");
    let asked = one.adapter.request(
        Target::Server(server("two")),
        "slow",
        Payload::null(),
        RequestOptions::default(),
    );
    let mut replies = asked.await.expect("two lives");
    let event = soon("the request", held.next()).await.expect("listening");
    assert!(one.adapter.cancel(replies.id()));
    assert!(!one.adapter.cancel(replies.id()), "it is no longer waiting");
    event.reply(text("late")).await.expect("sent");
    assert!(
        soon("the end", futures_util::StreamExt::next(&mut replies))
            .await
            .is_none()
    );
}

async fn a_request_to_a_server_that_leaves_ends_at_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut requests = two.adapter.listen("slow");
    let adapter = one.adapter.clone();
    let asking = tokio::spawn(async move {
        let options = RequestOptions {
            timeout: Some(Duration::from_secs(60)),
            ..RequestOptions::default()
        };
        adapter
            .call(Target::Server(server("two")), "slow", Payload::null(), options)
            .await
    });
    let waiting = soon("the request", requests.next()).await.expect("listening");
    two.driver.shutdown(SOON).await;
    let error = soon("an answer", asking)
        .await
        .expect("no panic")
        .expect_err("it went away");
    assert!(
        matches!(error, RequestError::Missing { why: Missing::Gone, .. }),
        "{error}"
    );
    drop(waiting);
    until("the roster forgets it", || one.adapter.servers().len() == 1).await;
}

async fn a_server_that_leaves_answers_open_requests_and_gets_no_new_ones(ground: Ground) {
    let (one, two) = ground.pair().await;
    let three = Server::ready(ground.options("three", "ws-node")).await;
    acquainted(&[&one, &two, &three]).await;
    let mut begun = two.adapter.listen("slow");
    for server in [&one, &three] {
        server.adapter.on("slow", |event| async move {
            event.reply(text("elsewhere")).await.expect("sent")
        });
    }
    let ask = |target: Target| {
        let adapter = one.adapter.clone();
        tokio::spawn(async move {
            adapter
                .call(target, "slow", Payload::null(), RequestOptions::default())
                .await
                .map(|reply| value(&reply.payload))
        })
    };
    let asking = ask(Target::Server(server("two")));
    let waiting = soon("the request", begun.next()).await.expect("listening");
    let leaving = tokio::spawn(two.driver.shutdown(SOON));
    until("it is known to leave", || {
        let servers = one.adapter.servers();
        servers.iter().any(|info| info.name == server("two") && info.retiring)
    })
    .await;
    for key in 0..20 {
        let any = Target::AnyOf(service("ws-node"), Pick::Key(format!("queue-{key}")));
        assert_eq!(ask(any).await.expect("no panic").expect("answered"), "elsewhere");
    }
    waiting.reply(text("done")).await.expect("sent");
    assert_eq!(asking.await.expect("no panic").expect("answered"), "done");
    soon("it ends", leaving).await.expect("no panic");
    until("it is gone", || one.adapter.servers().len() == 2).await;
}
