//! What happens when nodes die, hang, lose messages or reject connections, on real Redis processes and the embedded
//! bus.

use std::time::{Duration, Instant};

use crate::support::ground::redis_bus;
use crate::support::redis::Redis;
use crate::support::*;
use wsmesh_adapter::{
    Adapter, Bus, ClientError, Fault, MemoryBus, NodeUrl, Options, Payload, Presence, RequestOptions, RoomOptions,
    StartError, Target,
};

fn heard(server: &Server, id: &str) -> bool {
    let me = server.adapter.name();
    let servers = server.adapter.servers();
    let info = servers.iter().find(|info| info.name == *me).expect("itself");
    info.heard.iter().any(|node| node.as_str() == id)
}

/// Waits until `one` knows that both servers hear a node, and sends to the room of `bob`.
async fn bob_is_reached_in_his_room(one: &Server, bob: &mut Client) {
    until("each knows that the other hears", || {
        one.adapter.servers().iter().all(|info| !info.heard.is_empty())
    })
    .await;
    one.adapter
        .to_room(&room("1"), frame("x"), RoomOptions::default())
        .await
        .expect("sent");
    assert_eq!(bob.frame().await, "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_not_used_within_three_intervals_and_heard_again_after_its_restart() {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    let port = redis[1].port;
    redis[1].kill();
    let start = Instant::now();
    until("the killed node is not heard", || {
        !heard(&one, "redis-1") && !heard(&two, "redis-1")
    })
    .await;
    assert!(
        start.elapsed() < Duration::from_millis(3 * 200 + 500),
        "{:?}",
        start.elapsed()
    );
    bob_is_reached(&one, &mut bob).await;
    redis[1] = Redis::start_on(port, &[]);
    until("the node is heard again", || {
        heard(&one, "redis-1") && heard(&two, "redis-1")
    })
    .await;
    bob_is_reached(&one, &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_node_is_not_used_and_heard_again_when_it_resumes() {
    let redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    redis[2].pause().expect("it runs");
    until("the hung node is not heard", || {
        !heard(&one, "redis-2") && !heard(&two, "redis-2")
    })
    .await;
    bob_is_reached(&one, &mut bob).await;
    redis[2].resume().expect("it runs");
    until("the node is heard again", || {
        heard(&one, "redis-2") && heard(&two, "redis-2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_remaining_node_is_enough() {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    redis[0].kill();
    redis[2].kill();
    let gone = |server: &Server| !heard(server, "redis-0") && !heard(server, "redis-2");
    until("two nodes are not heard", || gone(&one) && gone(&two)).await;
    bob_is_reached(&one, &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hears_no_node_reports_it_and_serves_its_own_clients() {
    let mut redis = Redis::start(&[]);
    let (one, _two) = pair(&redis_bus(std::slice::from_ref(&redis))).await;
    let mut ann = one.client("ann").await;
    redis.kill();
    until("isolated", || !one.adapter.is_ready()).await;
    assert_eq!(
        one.adapter.to_client(&client("ann"), frame("x")).await.expect("local"),
        Presence::Here
    );
    assert_eq!(ann.frame().await, "x");
    let presence = one.adapter.to_client(&client("bob"), frame("x")).await;
    assert_eq!(presence.expect("it waits for a node"), Presence::Elsewhere);
    let statuses = one.adapter.nodes();
    until("the status says why", || statuses.borrow()[0].error.is_some()).await;
    let why = statuses.borrow()[0].error.clone().expect("just seen");
    assert!(
        why.contains("cannot connect to 127.0.0.1") || why.contains("ended"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_names_a_wrong_or_missing_password() {
    let redis = Redis::start(&["--requirepass", "secret"]);
    for (url, expected) in [
        (format!("redis://:wrong@127.0.0.1:{}#a", redis.port), "WRONGPASS"),
        (format!("redis://127.0.0.1:{}#a", redis.port), "NOAUTH"),
    ] {
        let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
        let server = Server::start(options("one", "ws-node", bus));
        let statuses = server.adapter.nodes();
        let said = || {
            statuses.borrow()[0]
                .error
                .as_ref()
                .is_some_and(|error| error.contains(expected))
        };
        until(expected, said).await;
        assert!(!format!("{:?}", statuses.borrow()).contains("wrong@"));
        server.stop().await;
    }
    let url = NodeUrl::parse(&redis.url("a")).expect("valid").with_password("secret");
    Server::ready(options("one", "ws-node", Bus::Redis(vec![url])))
        .await
        .stop()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_that_a_server_is_not_a_redis() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let web_server = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let bus = Bus::Redis(vec![
        NodeUrl::parse(&format!("redis://127.0.0.1:{port}#web")).expect("valid"),
    ]);
    let server = Server::start(options("one", "ws-node", bus));
    let statuses = server.adapter.nodes();
    let said = || {
        statuses.borrow()[0]
            .error
            .as_ref()
            .is_some_and(|error| error.contains("is this a Redis server?"))
    };
    until("the status says so", said).await;
    web_server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_accepts_messages_but_delivers_none_is_not_used() {
    let memory = MemoryBus::new(["a", "b"]).expect("valid ids");
    let (one, two) = pair(&Bus::Memory(memory.clone())).await;
    let mut bob = two.client("bob").await;
    assert!(memory.set_fault("a", Fault::Lose));
    until("the node that loses messages is not heard", || {
        !heard(&one, "a") && !heard(&two, "a")
    })
    .await;
    bob_is_reached(&one, &mut bob).await;
    memory.set_fault("a", Fault::None);
    until("heard again", || heard(&one, "a") && heard(&two, "a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_subscribers_subscribe_again_to_everything() {
    let memory = MemoryBus::new(["a"]).expect("valid ids");
    let (one, two) = pair(&Bus::Memory(memory.clone())).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    memory.cut_subscribers("a");
    until("both hear the node again", || {
        let again = |server: &Server| server.adapter.nodes().borrow()[0].reconnects > 0 && heard(server, "a");
        again(&one) && again(&two)
    })
    .await;
    bob_is_reached_in_his_room(&one, &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_that_all_hear_several_are_used_and_no_server_gets_a_message_twice() {
    let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
    let node = |index: usize| NodeUrl::parse(&redis[index].url(&format!("redis-{index}"))).expect("valid");
    let both = || Bus::Redis(vec![node(0), node(1)]);
    let one = Server::ready(options("one", "ws-node", both())).await;
    let first = Server::ready(options("first", "ws-node", Bus::Redis(vec![node(0)]))).await;
    let second = Server::ready(options("second", "ws-node", Bus::Redis(vec![node(1)]))).await;
    let third = Server::ready(options("third", "ws-node", both())).await;
    acquainted(&[&one, &third]).await;
    until("the first server knows all", || {
        one.adapter.servers().iter().filter(|info| info.counted).count() == 4
    })
    .await;
    let mut clients = vec![
        first.client("a").await,
        second.client("b").await,
        third.client("c").await,
    ];
    one.adapter
        .to_everyone(frame("x"), wsmesh_adapter::Scope::Cluster)
        .await
        .expect("sent");
    for client in &mut clients {
        assert_eq!(client.frame().await, "x");
        client.nothing().await;
    }
    let mut listener = second.adapter.listen("say");
    let target = Target::Server(server("second"));
    one.adapter
        .emit(target, "say", Payload::null())
        .await
        .expect("through the node that both hear");
    soon("the event", listener.next()).await.expect("listening");
    let unreachable = first.adapter.call(
        Target::Server(server("second")),
        "say",
        Payload::null(),
        RequestOptions::default(),
    );
    assert!(
        soon("an error", unreachable).await.is_err(),
        "they share no node, so they do not know each other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_without_any_node_is_an_error_and_catches_up_later() {
    let memory = MemoryBus::new(["a"]).expect("valid ids");
    let (one, two) = pair(&Bus::Memory(memory.clone())).await;
    let mut bob = two.client("bob").await;
    memory.set_fault("a", Fault::Fail);
    until("isolated", || !two.adapter.is_ready()).await;
    let joined = soon("an answer", two.adapter.join(&client("bob"), room("1"))).await;
    assert_eq!(joined, Err(ClientError::Unconfirmed));
    memory.set_fault("a", Fault::None);
    until("both hear the node again", || heard(&one, "a") && heard(&two, "a")).await;
    two.adapter
        .join(&client("bob"), room("1"))
        .await
        .expect("confirmed now");
    bob_is_reached_in_his_room(&one, &mut bob).await;
}

#[tokio::test]
async fn contradictory_options_are_rejected_at_the_start() {
    let url = |text: &str| NodeUrl::parse(text).expect("valid");
    let twice = Bus::Redis(vec![url("redis://a#x"), url("redis://b#x")]);
    let start = |bus: Bus| {
        Adapter::start(Options {
            bus,
            ..options("one", "ws-node", Bus::Alone)
        })
    };
    assert!(matches!(start(twice), Err(StartError::DuplicateNode(id)) if id == "x"));
    assert!(matches!(start(Bus::Redis(vec![])), Err(StartError::NoNodes)));
    let error = start(Bus::Redis(vec![url("rediss://a?ca=/none#x")]))
        .expect_err("no such file")
        .to_string();
    assert!(error.contains("the CA file /none cannot be used"), "{error}");
}

#[tokio::test]
async fn a_process_that_was_stopped_for_a_while_can_send_its_next_message() {
    let memory = MemoryBus::new(["a", "b"]).expect("valid ids");
    let (one, two) = pair(&Bus::Memory(memory)).await;
    let mut bob = two.client("bob").await;
    // On a single-threaded runtime this stops everything, for longer than three probe intervals.
    std::thread::sleep(Duration::from_millis(1000));
    one.adapter
        .to_client(&client("bob"), frame("after the stop"))
        .await
        .expect("one probe shows that the nodes are reachable");
    assert_eq!(bob.frame().await, "after the stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_messages_on_a_custom_channel_are_sent_again() {
    let memory = MemoryBus::new(["a", "b"]).expect("valid ids");
    let (one, two) = pair(&Bus::Memory(memory.clone())).await;
    let mut news = two.adapter.listen_channel("news").await.expect("confirmed");
    memory.set_fault("a", Fault::Lose);
    memory.set_fault("b", Fault::Lose);
    for n in 0..10 {
        let map = serde_json::json!({"n": n}).as_object().expect("a map").clone();
        one.adapter
            .publish_channel("news", map)
            .await
            .expect("the nodes took it");
    }
    until("nothing is heard", || {
        !one.adapter.is_ready() && !two.adapter.is_ready()
    })
    .await;
    memory.set_fault("a", Fault::None);
    memory.set_fault("b", Fault::None);
    let mut got = Vec::new();
    for _ in 0..10 {
        let message = soon("a message", news.next()).await.expect("listening");
        let map: serde_json::Value = message.payload.parse().expect("JSON");
        assert_eq!(map.as_object().expect("a map").len(), 2, "n and senderServer: {map}");
        got.push(map["n"].as_u64().expect("a number"));
    }
    got.sort_unstable();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    assert!(
        tokio::time::timeout(NEVER, news.next()).await.is_err(),
        "none arrives twice"
    );
}
