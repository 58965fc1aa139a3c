//! Which Redis a node is: two behind one name are not used together, one behind two names is used once, and a restart, which changes
//! the run id, loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use wsmesh_adapter::{Bus, MemoryBus, NodeStatus, NodeUrl, RoomOptions};

use crate::support::ground::redis_bus;
use crate::support::load::Load;
use crate::support::redis::Redis;
use crate::support::*;

fn url(redis: &Redis, id: &str) -> NodeUrl {
    NodeUrl::parse(&redis.url(id)).expect("valid")
}

fn status(server: &Server, id: &str) -> NodeStatus {
    let nodes = server.adapter.nodes().borrow().clone();
    nodes
        .iter()
        .find(|node| node.id.as_str() == id)
        .expect("a node")
        .clone()
}

fn error_of(server: &Server, id: &str) -> String {
    status(server, id).error.unwrap_or_default()
}

/// A name that stands for several Redis: each connection leads to the next one.
async fn in_turn(ports: Vec<u16>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let turn = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let port = ports[turn.fetch_add(1, Ordering::Relaxed) % ports.len()];
            tokio::spawn(async move {
                let mut redis = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut stream, &mut redis).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn two_redis_behind_one_id_are_not_used_together() {
    let (shared, ones, twos) = (Redis::start(&[]), Redis::start(&[]), Redis::start(&[]));
    let bus = |own: &Redis| Bus::Redis(vec![url(&shared, "redis-0"), url(own, "redis-1")]);
    let one = Server::ready(options("one", "ws-node", bus(&ones))).await;
    let two = Server::ready(options("two", "ws-node", bus(&twos))).await;
    acquainted(&[&one, &two]).await;
    for (server, other) in [(&one, "two"), (&two, "one")] {
        until("the status says so", || error_of(server, "redis-1").contains(other)).await;
        let status = status(server, "redis-1");
        assert!(
            status.heard && error_of(server, "redis-1").contains("another Redis"),
            "{status:?}"
        );
        assert_eq!(error_of(server, "redis-0"), "");
    }
    let mut bob = two.client("bob").await;
    for number in 0..32 {
        let room = room(&number.to_string());
        two.adapter.join(&client("bob"), room.clone()).await.expect("joined");
        let sending = one.adapter.to_room(&room, frame("hello"), RoomOptions::default());
        sending.await.expect("sent");
        assert_eq!(bob.frame().await, "hello");
    }
    bob_is_reached(&one, &mut bob).await;
    assert_eq!(counted(&one, "wsmesh_publish_total", &["redis-1", "ok"]), 0);
    bob.nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_share_no_redis_say_so_and_reach_each_other_once_they_do() {
    let (ones, twos) = (Redis::start(&[]), Redis::start(&[]));
    let bus = |own: &Redis| Bus::Redis(vec![url(own, "redis-0")]);
    let one = Server::ready(options("one", "ws-node", bus(&ones))).await;
    let two = Server::ready(options("two", "ws-node", bus(&twos))).await;
    let shared = Redis::start(&[]);
    one.adapter.add_node(&shared.url("redis-1")).expect("a node");
    two.adapter.add_node(&shared.url("redis-1")).expect("a node");
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
    until("the status says so", || error_of(&one, "redis-0").contains("two")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_redis_under_two_ids_is_used_once_and_again_after_its_restart() {
    let mut redis = [Redis::start(&[])];
    let bus = Bus::Redis(vec![url(&redis[0], "redis-0"), url(&redis[0], "redis-1")]);
    let (one, two) = pair(&bus).await;
    let mut bob = two.client("bob").await;
    let is_left_out = |server: &Server| {
        let (first, second) = (status(server, "redis-0"), status(server, "redis-1"));
        let error = second.error.unwrap_or_default();
        first.heard && !second.heard && error.contains("is the same Redis as redis-0") && error.contains("remove one")
    };
    for server in [&one, &two] {
        until("the greater id is not used", || is_left_out(server)).await;
    }
    bob_is_reached(&one, &mut bob).await;
    bob.nothing().await;
    redis[0].relaunch().expect("starts");
    until("it is noticed", || !is_left_out(&one)).await;
    for server in [&one, &two] {
        until("the greater id is not used again", || is_left_out(server)).await;
    }
    bob_is_reached(&one, &mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_under_load_loses_nothing_and_is_used_again() {
    let mut redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    for index in [0, 1] {
        let load = Load::start(&one);
        redis[index].relaunch().expect("starts");
        let id = format!("redis-{index}");
        for server in [&one, &two] {
            until("the restart is noticed", || status(server, &id).reconnects >= 2).await;
            until("it is heard again", || status(server, &id).heard).await;
        }
        load.stop_and_check(&mut bob).await;
        let through = || counted(&one, "wsmesh_publish_total", &[&id, "ok"]);
        let before = through();
        let mut number = 0;
        until("it is used again", || {
            number += 1;
            let (adapter, room) = (one.adapter.clone(), room(&format!("other-{number}")));
            tokio::spawn(async move { adapter.to_room(&room, frame("x"), RoomOptions::default()).await });
            through() > before
        })
        .await;
        assert_eq!(error_of(&one, &id), "", "both know the new run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_two_connections_lead_to_different_redis_says_so_and_does_not_use_the_node() {
    let (shared, a, b) = (Redis::start(&[]), Redis::start(&[]), Redis::start(&[]));
    let address = in_turn(vec![a.port, b.port]).await;
    let split = NodeUrl::parse(&format!("redis://{address}#redis-1")).expect("valid");
    let bus = Bus::Redis(vec![url(&shared, "redis-0"), split]);
    let one = Server::ready(options("one", "ws-node", bus)).await;
    until("the status says so", || {
        error_of(&one, "redis-1").contains("leads to two different Redis")
    })
    .await;
    assert!(one.adapter.is_ready() && status(&one, "redis-0").heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_say_its_run_id_is_used_as_before() {
    let forbidding = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info"];
    let redis: Vec<Redis> = vec![Redis::start(&forbidding), Redis::start(&[])];
    let (one, two) = pair(&redis_bus(&redis)).await;
    let mut bob = two.client("bob").await;
    for number in 0..32 {
        let room = room(&number.to_string());
        two.adapter.join(&client("bob"), room.clone()).await.expect("joined");
        let sending = one.adapter.to_room(&room, frame("hello"), RoomOptions::default());
        sending.await.expect("sent");
        assert_eq!(bob.frame().await, "hello");
    }
    for id in ["redis-0", "redis-1"] {
        assert!(counted(&one, "wsmesh_publish_total", &[id, "ok"]) > 0, "{id}");
        assert_eq!(error_of(&one, id), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_moves_to_another_redis_under_load_loses_nothing() {
    for mover in ["one", "two"] {
        let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
        let start = async |name: &str| Server::ready(options(name, "ws-node", Bus::Memory(bus.seen_from(name)))).await;
        let (one, two) = (start("one").await, start("two").await);
        acquainted(&[&one, &two]).await;
        let mut bob = two.client("bob").await;
        two.adapter.join(&client("bob"), room("1")).await.expect("joined");
        let load = Load::start(&one);
        for id in ["a", "b"] {
            bus.lead(mover, id, "elsewhere").expect("a valid id");
            bus.reset_link(mover, id);
            until("the others notice", || error_of(&one, id).contains("two")).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            bus.lead(mover, id, id).expect("a valid id");
            bus.reset_link(mover, id);
            until("it is one node again", || {
                [&one, &two]
                    .iter()
                    .all(|server| status(server, id).heard && error_of(server, id).is_empty())
            })
            .await;
        }
        load.stop_and_check(&mut bob).await;
        for server in [&one, &two] {
            assert_eq!(*server.adapter.lapses().borrow().clone(), []);
        }
    }
}
