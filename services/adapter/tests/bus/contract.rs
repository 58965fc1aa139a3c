//! What the adapter promises, over the embedded bus and, the same suite, over real Redis processes.

use std::time::Duration;

use crate::support::redis::Redis;
use crate::support::*;
use futures_util::StreamExt;
use serde_json::{Value, json};
use wsmesh_adapter::{
    Bus, Closing, Dismissal, Encoding, MemoryBus, Missing, NodeUrl, Options, OutboxLimits, Payload, Pick, Presence,
    RequestError, RequestOptions, RoomOptions, Scope, Strategy, Target,
};

/// Where the suite runs; keeps what it needs alive.
struct Ground {
    bus: Bus,
    _redis: Vec<Redis>,
}

impl Ground {
    fn memory() -> Self {
        Self {
            bus: Bus::Memory(MemoryBus::new(["a", "b", "c"]).expect("valid ids")),
            _redis: Vec::new(),
        }
    }

    fn redis() -> Self {
        let redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
        let url =
            |(index, redis): (usize, &Redis)| NodeUrl::parse(&redis.url(&format!("redis-{index}"))).expect("valid");
        Self {
            bus: Bus::Redis(redis.iter().enumerate().map(url).collect()),
            _redis: redis,
        }
    }

    fn options(&self, name: &str, service: &str) -> Options {
        options(name, service, self.bus.clone())
    }

    async fn pair(&self) -> (Server, Server) {
        let one = Server::ready(self.options("one", "ws-node")).await;
        let two = Server::ready(self.options("two", "ws-node")).await;
        acquainted(&[&one, &two]).await;
        (one, two)
    }
}

fn text(text: &str) -> Payload {
    Payload::new(text).expect("text is JSON")
}

fn value(payload: &Payload) -> Value {
    payload.parse().expect("JSON")
}

macro_rules! suite {
    ($($test:ident),* $(,)?) => {
        mod on_the_embedded_bus {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Ground::memory()).await;
            })*
        }
        mod on_real_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Ground::redis()).await;
            })*
        }
    };
}

suite![
    a_frame_for_a_client_reaches_it_on_any_server_once,
    a_client_that_is_nowhere_is_said_to_be_offline,
    a_frame_for_everyone_reaches_everyone_once,
    a_room_spans_servers_and_its_exclusions_hold,
    who_left_hears_nothing_and_a_removed_room_is_empty_everywhere,
    a_local_message_stays_local,
    a_client_that_goes_is_out_of_its_rooms_and_offline,
    a_newer_login_on_the_same_server_replaces_the_older,
    events_reach_one_some_all_and_a_service,
    several_listeners_once_tags_and_removal,
    a_request_names_who_answered_and_who_did_not_and_why,
    a_request_to_any_of_a_service_is_answered_by_one,
    a_key_always_finds_the_same_server,
    a_server_asks_itself_without_the_bus,
    dropping_replies_cancels_and_expected_ends_early,
    a_server_that_goes_is_missed_at_once,
    the_cluster_answers_for_rooms_clients_and_totals,
    custom_channels_reach_every_listener,
    both_encodings_understand_each_other,
    every_strategy_delivers,
    messages_of_one_room_keep_their_order,
    twenty_bursts_of_a_thousand_lose_none,
    two_servers_of_one_name_are_told_apart_and_the_younger_steps_back,
];

async fn a_frame_for_a_client_reaches_it_on_any_server_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    assert_eq!(
        one.adapter
            .to_client(&client("ann"), frame("here"))
            .await
            .expect("sent"),
        Presence::Here
    );
    assert_eq!(
        one.adapter
            .to_client(&client("bob"), frame("there"))
            .await
            .expect("sent"),
        Presence::Elsewhere
    );
    assert_eq!((ann.frame().await, bob.frame().await), ("here".into(), "there".into()));
    let offline = one
        .adapter
        .to_clients(&[client("ann"), client("bob"), client("nobody")], frame("all"))
        .await;
    assert_eq!(offline.expect("sent"), [client("nobody")]);
    assert_eq!((ann.frame().await, bob.frame().await), ("all".into(), "all".into()));
    ann.nothing().await;
    bob.nothing().await;
}

async fn a_client_that_is_nowhere_is_said_to_be_offline(ground: Ground) {
    let (one, _two) = ground.pair().await;
    assert_eq!(
        one.adapter
            .to_client(&client("nobody"), frame("x"))
            .await
            .expect("sent"),
        Presence::Offline
    );
}

async fn a_frame_for_everyone_reaches_everyone_once(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter
        .to_everyone(frame("hello"), Scope::Cluster)
        .await
        .expect("sent");
    assert_eq!((ann.frame().await, bob.frame().await), ("hello".into(), "hello".into()));
    ann.nothing().await;
    bob.nothing().await;
}

async fn a_room_spans_servers_and_its_exclusions_hold(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut members = vec![
        one.client("a").await,
        one.client("b").await,
        two.client("c").await,
        two.client("d").await,
    ];
    let mut outsider = two.client("outsider").await;
    for member in &members {
        let owner = if ["a", "b"].contains(&member.attachment.client().as_str()) {
            &one
        } else {
            &two
        };
        owner
            .adapter
            .join(member.attachment.client(), room("1"))
            .await
            .expect("joined");
    }
    let except = RoomOptions {
        except: vec![client("b"), client("c")],
        scope: Scope::Cluster,
    };
    one.adapter
        .to_room(&room("1"), frame("first"), except)
        .await
        .expect("sent");
    two.adapter
        .to_room(&room("1"), frame("second"), RoomOptions::default())
        .await
        .expect("sent");
    for member in &mut members {
        if ["a", "d"].contains(&member.attachment.client().as_str()) {
            let mut got = [member.frame().await, member.frame().await];
            got.sort();
            assert_eq!(got, ["first", "second"]);
        } else {
            assert_eq!(member.frame().await, "second");
        }
        member.nothing().await;
    }
    outsider.nothing().await;
}

async fn who_left_hears_nothing_and_a_removed_room_is_empty_everywhere(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    assert!(one.adapter.leave(&client("ann"), &room("1")).await.expect("is here"));
    assert!(
        !one.adapter.leave(&client("ann"), &room("1")).await.expect("is here"),
        "not in it any more"
    );
    two.adapter
        .to_room(&room("1"), frame("x"), RoomOptions::default())
        .await
        .expect("sent");
    assert_eq!(bob.frame().await, "x");
    ann.nothing().await;
    one.adapter.remove_room(&room("1")).await.expect("sent");
    until("the room is empty on the other server", || {
        two.adapter.room_members(&room("1")).is_empty()
    })
    .await;
    assert!(two.adapter.joined_rooms(&client("bob")).is_empty());
    one.adapter
        .to_room(&room("1"), frame("y"), RoomOptions::default())
        .await
        .expect("sent");
    bob.nothing().await;
}

async fn a_local_message_stays_local(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let local = RoomOptions {
        scope: Scope::Local,
        ..RoomOptions::default()
    };
    one.adapter.to_room(&room("1"), frame("x"), local).await.expect("sent");
    one.adapter.to_everyone(frame("y"), Scope::Local).await.expect("sent");
    assert_eq!((ann.frame().await, ann.frame().await), ("x".into(), "y".into()));
    bob.nothing().await;
}

async fn a_client_that_goes_is_out_of_its_rooms_and_offline(ground: Ground) {
    let mut options = ground.options("two", "ws-node");
    options.unsubscribe_delay = Duration::from_millis(50);
    let (one, two) = (
        Server::ready(ground.options("one", "ws-node")).await,
        Server::ready(options).await,
    );
    acquainted(&[&one, &two]).await;
    let bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    drop(bob.attachment);
    assert_eq!(two.adapter.room_count() + two.adapter.client_count(), 0);
    let mut presence = Presence::Elsewhere;
    while presence != Presence::Offline {
        presence = soon("offline", one.adapter.to_client(&client("bob"), frame("x")))
            .await
            .expect("sent");
    }
}

async fn a_newer_login_on_the_same_server_replaces_the_older(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut old = one.client("ann").await;
    let mut new = one.client("ann").await;
    let replaced = Dismissal {
        code: 4012,
        reason: "newer login of the same id".into(),
    };
    assert_eq!(old.next().await, Seen::Closed(Closing::Dismissed(replaced)));
    drop(old.attachment);
    two.adapter
        .to_client(&client("ann"), frame("for the newer"))
        .await
        .expect("sent");
    assert_eq!(new.frame().await, "for the newer");
}

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
    two.driver.shutdown().await;
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

async fn every_strategy_delivers(ground: Ground) {
    let two = Server::ready(ground.options("two", "ws-node")).await;
    let mut bob = two.client("bob").await;
    for strategy in [
        Strategy::Ordered,
        Strategy::Random,
        Strategy::RoundRobin,
        Strategy::Fastest,
    ] {
        let one = Server::ready(Options {
            strategy,
            ..ground.options("one", "ws-node")
        })
        .await;
        acquainted(&[&one, &two]).await;
        for n in 0..20 {
            one.adapter
                .to_client(&client("bob"), frame(&n.to_string()))
                .await
                .expect("sent");
        }
        let mut got = Vec::new();
        for _ in 0..20 {
            got.push(bob.frame().await.parse::<u32>().expect("a number"));
        }
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<_>>(), "{strategy:?}");
        one.stop().await;
    }
}

async fn messages_of_one_room_keep_their_order(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    for n in 0..500 {
        one.adapter
            .to_room(&room("1"), frame(&n.to_string()), RoomOptions::default())
            .await
            .expect("sent");
    }
    for n in 0..500 {
        assert_eq!(bob.frame().await, n.to_string());
    }
}

async fn twenty_bursts_of_a_thousand_lose_none(ground: Ground) {
    let mut options = ground.options("two", "ws-node");
    options.outbox = OutboxLimits {
        bytes: 64 << 20,
        frames: 1 << 20,
    };
    let (one, two) = (
        Server::ready(ground.options("one", "ws-node")).await,
        Server::ready(options).await,
    );
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    for burst in 0..20 {
        let bob_id = client("bob");
        let sending = (0..1000).map(|n| one.adapter.to_client(&bob_id, frame(&format!("{burst}:{n}"))));
        for sent in futures_util::future::join_all(sending).await {
            assert_eq!(sent.expect("sent"), Presence::Elsewhere);
        }
    }
    // Calls that run side by side promise no order among each other.
    let mut got = std::collections::HashSet::new();
    for _ in 0..20_000 {
        assert!(got.insert(bob.frame().await), "no frame comes twice");
    }
    assert!((0..20).all(|burst| (0..1000).all(|n| got.contains(&format!("{burst}:{n}")))));
    bob.nothing().await;
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
