//! A server that only visits: it sees the others, and changes nothing for them.

use std::time::Duration;

use wsmesh_adapter::{Bus, Fault, MemoryBus, NodeState, NodeUrl, Options, RoomOptions, ServerInfo, StatsPart};

use crate::support::ground::{Ground, suite};
use crate::support::redis::Redis;
use crate::support::*;

suite!(
    a_visitor_asks_each_server_and_is_not_counted_by_any,
    a_second_process_with_a_servers_name_is_known_to_a_visitor,
);

fn visiting(options: Options) -> Options {
    Options {
        visiting: true,
        shards: 0,
        ..options
    }
}

fn seen_by(server: &Server, name: &str) -> Option<ServerInfo> {
    let servers = server.adapter.servers();
    servers.into_iter().find(|other| other.name.as_str() == name)
}

/// Waits until each knows all others.
async fn meet(servers: &[&Server]) {
    for server in servers {
        let all = || server.adapter.servers().len() == servers.len();
        until("the servers know each other", all).await;
    }
}

async fn a_visitor_asks_each_server_and_is_not_counted_by_any(ground: Ground) {
    let (one, two) = ground.pair().await;
    let _ann = two.client("ann").await;
    let mut options = visiting(ground.options("visitor", "doctor"));
    options.replay_window = Duration::from_secs(60);
    let visitor = Server::ready(options).await;
    meet(&[&one, &two, &visitor]).await;
    let stats: StatsPart = visitor.adapter.server_stats(&server("two")).await.expect("answers");
    assert_eq!((stats.clients, stats.nodes.len()), (1, 3));
    visitor
        .adapter
        .server_stats(&server("three"))
        .await
        .expect_err("nobody has that name");
    for other in [&one, &two] {
        let seen = seen_by(other, "visitor").expect("known");
        assert!(!seen.counted && !seen.heard.is_empty(), "{seen:?}");
        assert_eq!(other.adapter.differences(), [], "its settings are nobody's business");
        let nodes = other.adapter.topology();
        assert!(
            nodes
                .iter()
                .all(|node| node.servers.len() == 2 && node.state == NodeState::Active),
            "{nodes:?}"
        );
    }
    assert_eq!(visitor.adapter.differences().len(), 2);
    visitor.stop().await;
    until("it said goodbye", || seen_by(&one, "visitor").is_none()).await;
}

async fn a_second_process_with_a_servers_name_is_known_to_a_visitor(ground: Ground) {
    let one = Server::ready(ground.options("one", "ws-node")).await;
    let mut second = Server::start(ground.options("one", "ws-node"));
    soon("the second is refused", second.driver.failed()).await;
    let rival = second.adapter.instance();
    second.stop().await;
    let visitor = Server::ready(visiting(ground.options("visitor", "doctor"))).await;
    meet(&[&visitor, &one]).await;
    let conflicts = visitor.adapter.name_conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].server.as_str(), conflicts[0].rival), ("one", rival));
    assert!(rival.started_ms() > 1_700_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_that_hears_one_node_of_two_keeps_nobody_from_the_other_and_brings_no_node_of_its_own() {
    let (shared, theirs, its_own) = (Redis::start(&[]), Redis::start(&[]), Redis::start(&[]));
    let url = |redis: &Redis, id: &str| NodeUrl::parse(&redis.url(id)).expect("valid");
    let bus = Bus::Redis(vec![url(&shared, "redis-0"), url(&theirs, "redis-1")]);
    let (one, two) = pair(&bus).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    // It has another server, which nobody listens at, for the id redis-1, and a node that nobody else has.
    let wrong = vec![
        url(&shared, "redis-0"),
        NodeUrl::parse("redis://127.0.0.1:1#redis-1").expect("valid"),
        url(&its_own, "redis-9"),
    ];
    let visitor = Server::ready(visiting(options("visitor", "doctor", Bus::Redis(wrong)))).await;
    meet(&[&one, &two, &visitor]).await;
    let stats = visitor.adapter.server_stats(&server("two")).await.expect("answers");
    assert_eq!(stats.clients, 1);
    for other in [&one, &two] {
        let nodes = other.adapter.topology();
        let known: Vec<_> = nodes
            .iter()
            .map(|node| (node.id.as_str(), node.state, node.url.contains(":1#")))
            .collect();
        let active = NodeState::Active;
        assert_eq!(known, [("redis-0", active, false), ("redis-1", active, false)]);
    }
    // Rooms are spread over the nodes: some go through the one that the visitor does not hear.
    for number in 0..32 {
        let room = room(&number.to_string());
        two.adapter.join(&client("bob"), room.clone()).await.expect("joined");
        one.adapter
            .to_room(&room, frame("hello"), RoomOptions::default())
            .await
            .expect("sent");
        assert_eq!(bob.frame().await, "hello");
    }
    for id in ["redis-0", "redis-1"] {
        assert!(counted(&one, "wsmesh_publish_total", &[id, "ok"]) > 0, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_does_not_wait_for_a_node_that_is_not_there() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    bus.set_fault("b", Fault::Fail);
    let start = tokio::time::Instant::now();
    let visitor = Server::ready(visiting(options("visitor", "doctor", Bus::Memory(bus)))).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    visitor.stop().await;
}
