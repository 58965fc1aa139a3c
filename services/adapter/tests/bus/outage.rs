//! No node at all for a while: what is sent meanwhile waits, in order, and goes out when one is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{
    Bus, ChannelListener, Fault, LapseReason, LinkFault, MemoryBus, Missing, NodeUrl, Options, Payload, PublishError,
    RequestError, RequestOptions, RoomOptions, Target,
};

use crate::support::redis::Redis;
use crate::support::*;

const NODES: [&str; 2] = ["a", "b"];

async fn pair(bus: &Bus, set: impl Fn(&mut Options)) -> (Server, Server) {
    let start = async |name| {
        let mut options = options(name, "ws-node", bus.clone());
        set(&mut options);
        Server::ready(options).await
    };
    let (one, two) = (start("one").await, start("two").await);
    acquainted(&[&one, &two]).await;
    (one, two)
}

fn memory() -> (MemoryBus, Bus) {
    let memory = MemoryBus::new(NODES).expect("valid ids");
    (memory.clone(), Bus::Memory(memory))
}

fn all(memory: &MemoryBus, fault: Fault) {
    NODES.iter().for_each(|node| assert!(memory.set_fault(node, fault)));
}

async fn isolated(servers: &[&Server]) {
    until("nobody hears a node", || {
        servers.iter().all(|server| !server.adapter.is_ready())
    })
    .await;
}

/// Everyone to whom something can be sent.
struct Receivers {
    bob: Client,
    news: ChannelListener,
    listener: wsmesh_adapter::Listener,
}

impl Receivers {
    async fn of(server: &Server) -> Self {
        let bob = server.client("bob").await;
        server.adapter.join(&client("bob"), room("1")).await.expect("joined");
        let news = server.adapter.listen_channel("news").await.expect("confirmed");
        let listener = server.adapter.listen("say");
        Self { bob, news, listener }
    }
}

/// Sends one of each kind; all are accepted.
async fn send_each(one: &Server, n: usize) {
    let number = frame(&n.to_string());
    one.adapter
        .to_client(&client("bob"), number)
        .await
        .expect("to a client");
    let in_room = frame(&format!("room {n}"));
    one.adapter
        .to_room(&room("1"), in_room, RoomOptions::default())
        .await
        .expect("to a room");
    let map = serde_json::json!({"n": n}).as_object().expect("a map").clone();
    one.adapter.publish_channel("news", map).await.expect("to a channel");
    let payload = Payload::new(&n).expect("a number");
    one.adapter
        .emit(Target::Server(server("two")), "say", payload)
        .await
        .expect("to a server");
}

/// Each arrives once, in the order of sending.
async fn each_arrives_in_order(receivers: &mut Receivers, count: usize) {
    each_arrives(receivers, count, |_| {}).await;
}

/// Each arrives once; what came is put into the order in which it is looked at.
async fn each_arrives(receivers: &mut Receivers, count: usize, arrange: impl Fn(&mut Vec<usize>)) {
    let [mut numbers, mut in_room, mut events, mut news] = [const { Vec::new() }; 4];
    let number = |text: &str| text.parse::<usize>().expect("a number");
    for _ in 0..2 * count {
        let text = receivers.bob.frame().await;
        match text.strip_prefix("room ") {
            Some(text) => in_room.push(number(text)),
            None => numbers.push(number(&text)),
        }
    }
    for _ in 0..count {
        let event = soon("an event", receivers.listener.next()).await.expect("listening");
        events.push(event.payload.parse().expect("a number"));
        let message = soon("a message", receivers.news.next()).await.expect("listening");
        let map: serde_json::Value = message.payload.parse().expect("JSON");
        assert_eq!(map["senderServer"].as_str(), Some("one"));
        news.push(map["n"].as_u64().expect("a number") as usize);
    }
    for (what, mut came) in [
        ("client", numbers),
        ("room", in_room),
        ("event", events),
        ("channel", news),
    ] {
        arrange(&mut came);
        let misplaced = came.iter().enumerate().find(|(place, number)| place != *number);
        assert_eq!(misplaced, None, "of messages to the {what}");
    }
    receivers.bob.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_while_no_node_is_heard_arrives_once_and_in_order_when_one_is() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |_| {}).await;
    let mut receivers = Receivers::of(&two).await;
    all(&memory, Fault::Fail);
    for n in 0..300 {
        send_each(&one, n).await;
    }
    isolated(&[&one, &two]).await;
    for n in 300..600 {
        send_each(&one, n).await;
    }
    all(&memory, Fault::None);
    each_arrives_in_order(&mut receivers, 600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn real_redis_nodes_that_are_killed_and_started_again_empty_lose_nothing() {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let url = |(index, redis): (usize, &Redis)| NodeUrl::parse(&redis.url(&format!("redis-{index}"))).expect("valid");
    let bus = Bus::Redis(redis.iter().enumerate().map(url).collect());
    let (one, two) = pair(&bus, |_| {}).await;
    let mut receivers = Receivers::of(&two).await;
    redis.iter_mut().for_each(Redis::kill);
    for n in 0..100 {
        send_each(&one, n).await;
    }
    isolated(&[&one, &two]).await;
    for n in 100..200 {
        send_each(&one, n).await;
    }
    for one in &mut redis {
        *one = Redis::start_on(one.port, &[]);
    }
    // What a dying Redis had taken already is sent again, which may be later than what came after it.
    each_arrives(&mut receivers, 200, |came| came.sort_unstable()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_cut_off_from_every_node_for_a_moment_loses_nothing_either_way() {
    let (memory, _) = memory();
    let seen = |name: &str| Bus::Memory(memory.seen_from(name));
    let one = Server::ready(options("one", "ws-node", seen("one"))).await;
    let two = Server::ready(options("two", "ws-node", seen("two"))).await;
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    let mut ann = one.client("ann").await;
    NODES
        .iter()
        .for_each(|node| memory.set_link("one", node, LinkFault::Cut));
    isolated(&[&one]).await;
    for n in 0..100 {
        let text = n.to_string();
        one.adapter
            .to_client(&client("bob"), frame(&text))
            .await
            .expect("waits");
        two.adapter
            .to_client(&client("ann"), frame(&text))
            .await
            .expect("a node takes it");
    }
    NODES
        .iter()
        .for_each(|node| memory.set_link("one", node, LinkFault::None));
    let mut to_ann = Vec::new();
    for n in 0..100 {
        assert_eq!(bob.frame().await, n.to_string());
    }
    for _ in 0..100 {
        to_ann.push(ann.frame().await.parse::<u32>().expect("a number"));
    }
    to_ann.sort_unstable();
    assert_eq!(to_ann, (0..100).collect::<Vec<_>>());
    bob.nothing().await;
    ann.nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shares_no_node_for_a_moment_is_reached_when_it_does_and_one_that_stays_apart_is_not() {
    let memory = MemoryBus::new(["a", "b", "c"]).expect("valid ids");
    let start = async |name: &str| {
        let mut options = options(name, "ws-node", Bus::Memory(memory.seen_from(name)));
        options.replay_window = Duration::from_secs(2);
        Server::ready(options).await
    };
    let (one, two) = (start("one").await, start("two").await);
    acquainted(&[&one, &two]).await;
    let mut listener = two.adapter.listen("say");
    two.adapter.on("work", |event| async move {
        event.reply(Payload::null()).await.expect("answered")
    });
    let hears = |seen_by: &Server, name: &str| {
        let servers = seen_by.adapter.servers();
        let seen = servers.iter().find(|seen| seen.name.as_str() == name).expect("known");
        seen.heard.iter().map(|node| node.to_string()).collect::<Vec<_>>()
    };
    memory.set_link("one", "b", LinkFault::Cut);
    memory.set_link("two", "a", LinkFault::Cut);
    until("they share one node", || {
        hears(&one, "two") == ["b", "c"] && hears(&two, "one") == ["a", "c"]
    })
    .await;
    let target = || Target::Server(server("two"));
    let emit = || one.adapter.emit(target(), "say", Payload::null());

    memory.set_link("one", "c", LinkFault::Cut);
    until("they share none", || hears(&one, "one") == ["a"]).await;
    for _ in 0..10 {
        emit().await.expect("it waits for a shared node");
    }
    let asking = one
        .adapter
        .call(target(), "work", Payload::null(), RequestOptions::default());
    let heal = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        memory.set_link("one", "c", LinkFault::None);
    };
    let (answer, ()) = tokio::join!(asking, heal);
    answer.expect("it is sent when a node is shared");
    for _ in 0..10 {
        soon("an event", listener.next()).await.expect("listening");
    }
    assert!(
        tokio::time::timeout(NEVER, listener.next()).await.is_err(),
        "none comes twice"
    );

    memory.set_link("one", "c", LinkFault::Cut);
    until("they share none again", || hears(&one, "one") == ["a"]).await;
    emit().await.expect("it waits for a shared node");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let error = emit().await.expect_err("they stay apart");
    assert!(matches!(error, PublishError::NoCommonNode(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_node_within_its_own_time_limit_and_is_not_run_after_it() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |_| {}).await;
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
async fn a_request_ends_within_its_time_limit_and_a_message_soon_though_every_node_hangs() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |options| options.probe_interval = Duration::from_secs(1)).await;
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
async fn nobody_is_taken_for_gone_because_this_server_hears_no_node_for_less_than_the_window() {
    let (memory, bus) = memory();
    let window = Duration::from_secs(30);
    let (one, two) = pair(&bus, |options| options.replay_window = window).await;
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
        // Longer than a silent server stays in the roster while its beacons could be heard.
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
    // Who died meanwhile is forgotten soon.
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    drop(two);
    tokio::time::sleep(Duration::from_secs(4)).await;
    all(&memory, Fault::None);
    until("the dead server is forgotten", || one.adapter.servers().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn only_what_outlasts_the_window_is_refused() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |_| {}).await;
    let mut bob = two.client("bob").await;
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let (since, mut accepted) = (Instant::now(), 0);
    let send = |n: usize| {
        let text = frame(&n.to_string());
        async { one.adapter.to_client(&client("bob"), text).await }
    };
    let refused = loop {
        match send(accepted).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(matches!(refused, PublishError::Isolated), "{refused}");
    let lasted = since.elapsed();
    assert!((5_500..=6_500).contains(&lasted.as_millis()), "{lasted:?}");
    all(&memory, Fault::None);
    for n in 0..accepted {
        assert_eq!(bob.frame().await, n.to_string());
    }
    send(accepted).await.expect("a node is heard");
    assert_eq!(bob.frame().await, accepted.to_string());
    bob.nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_while_no_node_is_heard_is_refused_and_told() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |options| options.replay_bytes = 64 * 1024).await;
    let mut bob = two.client("bob").await;
    all(&memory, Fault::Fail);
    isolated(&[&one, &two]).await;
    let (mut accepted, padding) = (0, "x".repeat(1000));
    let refused = loop {
        let text = frame(&format!("{accepted} {padding}"));
        match one.adapter.to_client(&client("bob"), text).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PublishError::NoRoom), "{refused}");
    assert!((30..=64).contains(&accepted), "{accepted}");
    let lapses = one.adapter.lapses().borrow().clone();
    assert!(lapses.iter().any(|lapse| lapse.reason == LapseReason::WindowTooSmall));
    all(&memory, Fault::None);
    for n in 0..accepted {
        assert!(bob.frame().await.starts_with(&format!("{n} ")));
    }
}

#[tokio::test(start_paused = true)]
async fn servers_talk_again_within_a_second_after_any_outage() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus, |options| options.probe_interval = Duration::from_secs(1)).await;
    let mut bob = two.client("bob").await;
    for outage_s in [1, 4, 20, 90] {
        all(&memory, Fault::Fail);
        tokio::time::sleep(Duration::from_secs(outage_s)).await;
        all(&memory, Fault::None);
        let healed = Instant::now();
        while one.adapter.to_client(&client("bob"), frame("x")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(bob.frame().await, "x");
        let took = healed.elapsed();
        assert!(took < Duration::from_secs(1), "after {outage_s} s: {took:?}");
        // The next outage shall not begin in the middle of the first one's end.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_the_shutdown_as_nobody_would_send_it() {
    let (_memory, bus) = memory();
    let (one, _two) = pair(&bus, |_| {}).await;
    let adapter = one.adapter.clone();
    one.driver.shutdown(SOON).await;
    let error = adapter.to_client(&client("bob"), frame("x")).await;
    let error = error.expect_err("nobody would send it");
    assert!(matches!(error, PublishError::Isolated), "{error}");
}
