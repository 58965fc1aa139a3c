//! What the adapter promises about events, requests and servers, on both buses.

use std::time::Duration;

use crate::support::*;
use futures_util::StreamExt;
use serde_json::json;
use wsmesh_adapter::{Bus, Encoding, Missing, Options, Payload, Pick, RequestError, RequestOptions, Scope, Target};

use crate::support::ground::{Ground, suite, text, value};

suite![
    events_reach_one_some_all_and_a_service,
    an_event_for_the_holders_of_a_client_reaches_those_and_says_how_many,
    several_listeners_once_tags_and_removal,
    a_request_names_who_answered_and_who_did_not_and_why,
    a_request_to_any_of_a_service_is_answered_by_one,
    a_key_always_finds_the_same_server,
    a_server_asks_itself_without_the_bus,
    dropping_replies_cancels_and_expected_ends_early,
    a_server_that_goes_is_missed_at_once,
    a_server_that_leaves_answers_what_it_was_asked_and_is_asked_nothing_new,
    the_cluster_answers_for_rooms_clients_and_totals,
    custom_channels_reach_every_listener,
    a_request_is_cancelled_by_its_number,
    a_preset_room_is_subscribed_to_without_members,
    both_encodings_understand_each_other,
    two_servers_of_one_name_are_told_apart_and_the_younger_steps_back,
    a_server_that_comes_to_count_is_news_of_its_own_roster,
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

async fn an_event_for_the_holders_of_a_client_reaches_those_and_says_how_many(ground: Ground) {
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
    // Nobody but `two` got one, and that only once.
    for listener in &mut at[..2] {
        let event = soon("the last one", listener.next()).await.expect("listening");
        assert_eq!(value(&event.payload), json!(1));
    }
}

async fn several_listeners_once_tags_and_removal(ground: Ground) {
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

async fn a_request_names_who_answered_and_who_did_not_and_why(ground: Ground) {
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
        expected: None,
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

async fn a_request_to_any_of_a_service_is_answered_by_one(ground: Ground) {
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

async fn a_server_asks_itself_without_the_bus(ground: Ground) {
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

async fn dropping_replies_cancels_and_expected_ends_early(ground: Ground) {
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
        timeout: None,
    };
    let replies = one
        .adapter
        .request(Target::Everyone, "quick", Payload::null(), options)
        .await
        .expect("asked");
    assert_eq!(soon("one reply", replies.count()).await, 1);
}

async fn a_server_that_goes_is_missed_at_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut requests = two.adapter.listen("slow");
    let adapter = one.adapter.clone();
    let asking = tokio::spawn(async move {
        let options = RequestOptions {
            timeout: Some(Duration::from_secs(60)),
            expected: None,
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

async fn a_server_that_leaves_answers_what_it_was_asked_and_is_asked_nothing_new(ground: Ground) {
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

async fn the_cluster_answers_for_rooms_clients_and_totals(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (_ann, _bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let rooms = one.adapter.cluster_room(&room("1")).await;
    assert!(rooms.complete);
    let parts = by_server(rooms.servers);
    assert_eq!(
        (&parts["one"].members[..], &parts["two"].members[..]),
        (&[client("ann")][..], &[client("bob")][..])
    );
    let bob = by_server(one.adapter.cluster_client(&client("bob")).await.servers);
    assert!(!bob["one"].connected && bob["two"].connected);
    assert_eq!(bob["two"].rooms, [room("1")]);
    let listed = one.adapter.cluster_rooms(None, "").await.servers;
    assert_eq!(listed.iter().map(|(_, part)| part.rooms.len()).sum::<usize>(), 2);
    let totals = one.adapter.cluster_stats().await;
    assert_eq!(totals.servers.iter().map(|(_, part)| part.clients).sum::<u64>(), 2);
    assert!(totals.servers.iter().all(|(_, part)| part.nodes.len() == 3));
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

async fn two_servers_of_one_name_are_told_apart_and_the_younger_steps_back(ground: Ground) {
    let older = Server::ready(ground.options("same", "ws-node")).await;
    let mut younger = Server::start(ground.options("same", "ws-node"));
    let error = soon("the younger is refused", younger.driver.failed()).await;
    assert!(
        error.to_string().contains("another live server is called same"),
        "{error}"
    );
    younger.stop().await;
    assert!(older.adapter.is_ready());
    older.stop().await;
    soon(
        "a restart under the same name",
        Server::ready(ground.options("same", "ws-node")),
    )
    .await;
}

async fn a_server_that_comes_to_count_is_news_of_its_own_roster(ground: Ground) {
    // Alone, so that nobody else's news brings it along.
    let one = Server::start(ground.options("one", "game-logic"));
    let mut roster = one.adapter.roster();
    let counts = roster.wait_for(|servers| {
        let me = servers.iter().find(|server| server.name == *one.adapter.name());
        me.is_some_and(|me| me.counted)
    });
    soon("it sees itself counted", counts).await.expect("the adapter runs");
    drop(roster);
    one.stop().await;
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
    assert!(!one.adapter.cancel(replies.id()), "it waits no more");
    event.reply(text("late")).await.expect("sent");
    assert!(
        soon("the end", futures_util::StreamExt::next(&mut replies))
            .await
            .is_none()
    );
}

async fn a_preset_room_is_subscribed_to_without_members(ground: Ground) {
    let topics = |options: &Options| {
        let families = options.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "wsmesh_topics")
            .expect("a gauge");
        family.get_metric()[0].get_gauge().get_value()
    };
    let plain = ground.options("plain", "ws-node");
    let preset = Options {
        preset_rooms: vec![room("lobby"), room("news")],
        ..ground.options("preset", "ws-node")
    };
    let _servers = (Server::ready(plain.clone()).await, Server::ready(preset.clone()).await);
    until("two more", || topics(&preset) - topics(&plain) == 2.0).await;
}
