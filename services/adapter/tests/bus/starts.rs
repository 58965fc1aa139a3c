//! Servers that start while one of their nodes cannot be reached: they are ready soon, and nobody notices a lapse.

use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Bus, Fault, LinkFault, MemoryBus, NodeUrl, Options, Scope};
use wsmesh_dial::testing::{Silent, name};

use crate::support::load::Load;
use crate::support::redis::Redis;
use crate::support::*;

/// Far more than a probe interval and the time limit of a command, and less than servers waited once.
const READY: Duration = Duration::from_secs(8);

fn url(text: &str) -> NodeUrl {
    NodeUrl::parse(text).expect("valid")
}

/// Two servers under load with three nodes; a third one starts after `harm` made `redis-2` unreachable, perhaps only for its own URL.
async fn starts_without_redis_2(harm: impl AsyncFnOnce(&mut Redis) -> Option<NodeUrl>) {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let urls: Vec<NodeUrl> = (0..3).map(|n| url(&redis[n].url(&format!("redis-{n}")))).collect();
    let (one, two) = pair(&Bus::Redis(urls.clone())).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let load = Load::start(&one);
    let own = harm(&mut redis[2]).await;
    let last = own.unwrap_or_else(|| urls[2].clone());
    let start = Instant::now();
    let bus = Bus::Redis(vec![urls[0].clone(), urls[1].clone(), last]);
    let three = Server::ready(options("three", "ws-node", bus)).await;
    assert!(start.elapsed() < READY, "ready after {:?}", start.elapsed());
    let status = three.adapter.nodes().borrow().clone();
    let missing = status.iter().find(|node| node.id.as_str() == "redis-2").expect("known");
    assert!(!missing.heard, "{missing:?}");
    acquainted(&[&one, &two, &three]).await;
    load.stop_and_check(&mut bob).await;
    let mut carol = three.client("carol").await;
    three.adapter.join(&client("carol"), room("1")).await.expect("joined");
    let load = Load::start(&one);
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.stop_and_check(&mut carol).await;
    for server in [&one, &two, &three] {
        assert_eq!(
            *server.adapter.lapses().borrow().clone(),
            [],
            "{}",
            server.adapter.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_soon_while_a_redis_is_down() {
    starts_without_redis_2(async |redis| {
        redis.kill();
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_soon_while_a_redis_hangs() {
    starts_without_redis_2(async |redis| {
        redis.pause().expect("it runs");
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_soon_while_an_address_never_answers() {
    let silent = Silent::start().await;
    name("silent.start.test", &[silent.address()]);
    starts_without_redis_2(async |_| Some(url("redis://silent.start.test:1#redis-2"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_soon_while_the_name_of_a_redis_is_unknown() {
    starts_without_redis_2(async |_| Some(url("redis://nowhere.invalid:6379#redis-2"))).await;
}

/// How long a server takes to be ready on this bus, alone, in paused time.
async fn alone(bus: &MemoryBus) -> Duration {
    let start = Instant::now();
    let server = Server::ready(options_of("one", bus)).await;
    let took = start.elapsed();
    server.stop().await;
    took
}

/// With the usual times.
fn options_of(name: &str, bus: &MemoryBus) -> Options {
    Options {
        probe_interval: Duration::from_secs(1),
        ..options(name, "ws-node", Bus::Memory(bus.seen_from(name)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_server_waits_a_moment_for_a_node_that_fails_and_longer_for_one_that_says_nothing() {
    let (interval, limit) = (Duration::from_secs(1), Duration::from_secs(2));
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    let took = alone(&bus).await;
    assert!(took < interval, "all is well: {took:?}");
    bus.set_fault("b", Fault::Fail);
    let took = alone(&bus).await;
    assert!((interval * 2..interval * 3).contains(&took), "refused: {took:?}");
    for fault in [Fault::Pause, Fault::Lose] {
        bus.set_fault("b", fault);
        let took = alone(&bus).await;
        let longest = interval + limit + Duration::from_millis(500);
        assert!((interval * 2..longest).contains(&took), "{fault:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_up_together_with_the_server_is_waited_for() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    bus.set_fault("b", Fault::Fail);
    let server = Server::start(options_of("one", &bus));
    tokio::time::sleep(Duration::from_millis(600)).await;
    bus.set_fault("b", Fault::None);
    server.adapter.ready().await;
    assert_eq!(server.adapter.servers()[0].heard.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_node_that_the_others_do_without() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    bus.set_fault("b", Fault::Pause);
    let _one = Server::ready(options_of("one", &bus)).await;
    let start = Instant::now();
    let two = Server::ready(options_of("two", &bus)).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(two.adapter.servers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_long_to_start_is_no_lapse_of_the_others() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid ids");
    let one = Server::ready(options_of("one", &bus)).await;
    bus.set_link("two", "b", LinkFault::Hang);
    let two = Server::start(Options {
        command_timeout: Duration::from_secs(30),
        ..options_of("two", &bus)
    });
    until("it is known", || one.adapter.servers().len() == 2).await;
    for n in 0..250 {
        let sending = one.adapter.to_everyone(frame(&n.to_string()), Scope::default());
        sending.await.expect("sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!two.adapter.is_ready(), "it still waits");
    bus.set_link("two", "b", LinkFault::None);
    two.adapter.ready().await;
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
    assert_eq!(*one.adapter.lapses().borrow().clone(), []);
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_node_that_was_never_heard_says_so_after_a_minute() {
    let bus = MemoryBus::new(["a", "b", "c"]).expect("valid ids");
    bus.set_fault("b", Fault::Fail);
    let one = Server::ready(options_of("one", &bus)).await;
    bus.set_fault("c", Fault::Fail);
    let error = |id: &str| {
        let nodes = one.adapter.nodes().borrow().clone();
        let node = nodes.iter().find(|node| node.id.as_str() == id).expect("known");
        node.error.clone().unwrap_or_default()
    };
    until("both are missed", || !error("b").is_empty() && !error("c").is_empty()).await;
    assert!(!error("b").contains("never heard"), "it may be starting");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(error("b").contains("never heard"), "{}", error("b"));
    assert!(!error("c").contains("never heard"), "{}", error("c"));
}
