//! What the adapter promises about events between servers, on both buses.

use std::time::Duration;

use serde_json::json;
use wsmesh_adapter::{Encoding, Options, Payload, RequestOptions, Target};

use crate::support::ground::{Ground, suite, text, value};
use crate::support::*;

suite![
    events_reach_one_some_all_and_a_service,
    an_event_for_the_holders_of_a_client_reaches_them_and_returns_their_number,
    listeners_end_after_one_event_by_tag_and_by_removal,
    custom_channels_reach_every_listener,
    both_encodings_understand_each_other,
];

async fn events_reach_one_some_all_and_a_service(ground: Ground) {
    let (one, two) = ground.pair().await;
    let logic = Server::ready(ground.options("logic", "game-logic")).await;
    acquainted(&[&one, &two, &logic]).await;
    let mut at = [
        one.adapter.listen("say"),
        two.adapter.listen("say"),
        logic.adapter.listen("say"),
    ];
    let mut expect: Vec<(Target, [bool; 3])> = vec![
        (Target::Server(server("two")), [false, true, false]),
        (Target::Server(server("one")), [true, false, false]),
        (
            Target::Servers(vec![server("one"), server("logic")]),
            [true, false, true],
        ),
        (Target::Everyone, [true, true, true]),
        (Target::Others, [false, true, true]),
        (Target::Service(service("ws-node")), [true, true, false]),
        (Target::Service(service("game-logic")), [false, false, true]),
    ];
    for (number, (target, reached)) in expect.drain(..).enumerate() {
        one.adapter
            .emit(target.clone(), "say", Payload::new(&number).expect("JSON"))
            .await
            .expect("sent");
        for (listener, reached) in at.iter_mut().zip(reached) {
            if reached {
                let event = soon("the event", listener.next()).await.expect("listening");
                assert_eq!(
                    (event.sender.as_str(), value(&event.payload)),
                    ("one", json!(number)),
                    "{target:?}"
                );
                assert!(!event.is_request());
            }
        }
    }
    let unknown = one
        .adapter
        .emit(Target::Server(server("nobody")), "say", text("x"))
        .await
        .expect_err("unknown");
    assert_eq!(unknown.to_string(), "no live server is called nobody");
}

async fn an_event_for_the_holders_of_a_client_reaches_them_and_returns_their_number(ground: Ground) {
    let (one, two) = ground.pair().await;
    let three = Server::ready(ground.options("three", "ws-node")).await;
    acquainted(&[&one, &two, &three]).await;
    let mut at = [
        one.adapter.listen("who"),
        two.adapter.listen("who"),
        three.adapter.listen("who"),
    ];
    let ann = client("ann");
    let ask = || one.adapter.emit_to_holders(&ann, "who", Payload::null());
    assert_eq!(ask().await.expect("sent"), 0);
    let _here = one.client("ann").await;
    assert_eq!(ask().await.expect("sent"), 0, "not this server itself");
    let _there = two.client("ann").await;
    assert_eq!(ask().await.expect("sent"), 1);
    let event = soon("the event", at[1].next()).await.expect("listening");
    assert_eq!((event.sender.as_str(), event.age), ("one", Duration::ZERO));
    for server in [&one, &two] {
        let last = Payload::from_json("1");
        three
            .adapter
            .emit(Target::Server(server.adapter.name().clone()), "who", last)
            .await
            .expect("sent");
    }
    // Only `two` got one, and only once.
    for listener in &mut at[..2] {
        let event = soon("the last one", listener.next()).await.expect("listening");
        assert_eq!(value(&event.payload), json!(1));
    }
}

async fn listeners_end_after_one_event_by_tag_and_by_removal(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let handler = |label: &'static str| {
        let sender = sender.clone();
        move |event: wsmesh_adapter::ServerEvent| {
            let sender = sender.clone();
            async move { sender.send((label, value(&event.payload))).expect("the test listens") }
        }
    };
    let always = two.adapter.on("say", handler("always"));
    two.adapter.once("say", handler("once"));
    two.adapter.on_tagged("say", "tag", handler("tagged"));
    let say = |n: u32| {
        one.adapter
            .emit(Target::Server(server("two")), "say", Payload::new(&n).expect("JSON"))
    };
    let mut labels = async |count: usize| {
        let mut labels = Vec::new();
        for _ in 0..count {
            labels.push(soon("a handler runs", heard.recv()).await.expect("open").0);
        }
        labels.sort_unstable();
        labels
    };
    say(1).await.expect("sent");
    assert_eq!(labels(3).await, ["always", "once", "tagged"]);
    say(2).await.expect("sent");
    assert_eq!(labels(2).await, ["always", "tagged"]);
    assert_eq!(two.adapter.off_tag("say", "tag"), 1);
    say(3).await.expect("sent");
    assert_eq!(labels(1).await, ["always"]);
    assert!(two.adapter.off(always) && !two.adapter.off(always));
}

async fn custom_channels_reach_every_listener(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut at_one = one.adapter.listen_channel("my-channel").await.expect("confirmed");
    let mut at_two = two.adapter.listen_channel("my-channel").await.expect("confirmed");
    let map = json!({"hello": "world"}).as_object().expect("a map").clone();
    one.adapter.publish_channel("my-channel", map).await.expect("sent");
    for listener in [&mut at_one, &mut at_two] {
        let message = soon("the message", listener.next()).await.expect("listening");
        assert_eq!(message.sender, Some(server("one")));
        assert_eq!(
            value(&message.payload),
            json!({"hello": "world", "senderServer": "one"})
        );
    }
    let refused = one
        .adapter
        .listen_channel("wsmesh:servers")
        .await
        .expect_err("the cluster's own");
    assert!(refused.to_string().contains("choose another name"), "{refused}");
}

async fn both_encodings_understand_each_other(ground: Ground) {
    let json = Options {
        encoding: Encoding::Json,
        ..ground.options("one", "ws-node")
    };
    let msgpack = Options {
        encoding: Encoding::Msgpack,
        ..ground.options("two", "ws-node")
    };
    let (one, two) = (Server::ready(json).await, Server::ready(msgpack).await);
    acquainted(&[&one, &two]).await;
    let all_types = json!({"int": 1, "neg": -7, "big": 9_007_199_254_740_991_u64, "float": 1.5, "t": true, "f": false,
        "nul": null, "str": "héllo 世界 🚀", "arr": [1, "two", [3]], "obj": {"k": {}}, "empty": ""});
    for server in [&one, &two] {
        server.adapter.on("echo", |event| async move {
            let payload = event.payload.clone();
            event.reply(payload).await.expect("sent");
        });
    }
    for (from, to) in [(&one, "two"), (&two, "one")] {
        let payload = Payload::new(&all_types).expect("JSON");
        let target = Target::Server(server(to));
        let reply = from
            .adapter
            .call(target, "echo", payload, RequestOptions::default())
            .await
            .expect("answered");
        assert_eq!(value(&reply.payload), all_types);
    }
}
