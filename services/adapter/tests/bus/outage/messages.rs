//! Messages that are sent while no node is heard wait, in order, and arrive when a node is heard.

use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Bus, Fault, LinkFault, MemoryBus, Payload, PublishError, RequestOptions, Target};

use super::{NODES, Receivers, all, each_arrives, each_arrives_in_order, isolated, memory, send_each};
use crate::support::ground::redis_bus;
use crate::support::redis::Redis;
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn messages_sent_while_no_node_is_heard_arrive_once_and_in_order_later() {
    let (memory, bus) = memory();
    let (one, two) = pair(&bus).await;
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
async fn no_message_is_lost_when_all_redis_processes_are_killed_and_restarted() {
    let mut redis: Vec<Redis> = (0..3).map(|_| Redis::start(&[])).collect();
    let (one, two) = pair(&redis_bus(&redis)).await;
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
    // Messages that a dying Redis had taken are sent again, and may arrive after later ones.
    each_arrives(&mut receivers, 200, |came| came.sort_unstable()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_briefly_cut_off_from_every_node_loses_nothing_in_either_direction() {
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
async fn messages_wait_for_a_shared_node_and_are_rejected_if_there_is_none_for_long() {
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

#[tokio::test(start_paused = true)]
async fn servers_communicate_again_within_a_second_after_any_outage() {
    let (memory, bus) = memory();
    let (one, two) = pair_with(&bus, |options| options.probe_interval = Duration::from_secs(1)).await;
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
        // Let the servers recover completely before the next outage.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
