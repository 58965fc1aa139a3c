//! Nodes that are added and drained at run time, and lapses, on the embedded bus and on real Redis processes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{
    Bus, Fault, LapseReason, MemoryBus, NodeId, NodeState, NodeUrl, NodeView, Options, RoomOptions, TopologyError,
};

use crate::support::ground::{Ground, suite};
use crate::support::redis::Redis;
use crate::support::*;

suite!(
    a_node_is_added_used_and_drained_and_no_message_is_lost,
    a_late_and_a_restarted_server_learn_what_was_changed,
    an_impossible_change_is_rejected_with_an_error_that_says_what_to_do,
);

fn node_id(id: &str) -> NodeId {
    NodeId::new(id).expect("valid")
}

fn view(server: &Server, id: &str) -> Option<NodeView> {
    server
        .adapter
        .topology()
        .into_iter()
        .find(|node| node.id.as_str() == id)
}

fn state(server: &Server, id: &str) -> Option<NodeState> {
    view(server, id).map(|node| node.state)
}

async fn sees(servers: &[&Server], id: &str, wanted: NodeState) {
    for server in servers {
        until(&format!("{id} is {wanted:?} for {}", server.adapter.name()), || {
            state(server, id) == Some(wanted)
        })
        .await;
    }
}

/// Options with a short window, so that draining is quick.
fn quick(ground: &Ground, name: &str) -> Options {
    Options {
        replay_window: Duration::from_millis(600),
        ..ground.options(name, "ws-node")
    }
}

async fn a_node_is_added_used_and_drained_and_no_message_is_lost(mut ground: Ground) {
    let one = Server::ready(quick(&ground, "one")).await;
    let two = Server::ready(quick(&ground, "two")).await;
    acquainted(&[&one, &two]).await;
    let mut bob = two.client("bob").await;
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let url = ground.one_more("extra");
    let ids: Vec<String> = one.adapter.topology().iter().map(|node| node.id.to_string()).collect();
    let (adapter, enough) = (one.adapter.clone(), CancellationToken::new());
    let until_enough = enough.clone();
    let load = tokio::spawn(async move {
        let mut sent = 0_u32;
        while !until_enough.is_cancelled() {
            let frame = frame(&sent.to_string());
            adapter
                .to_room(&room("1"), frame, RoomOptions::default())
                .await
                .expect("sent");
            sent += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sent
    });
    assert_eq!(one.adapter.add_node(&url), Ok(node_id("extra")));
    assert_eq!(
        one.adapter.add_node(&url),
        Ok(node_id("extra")),
        "adding twice is adding once"
    );
    sees(&[&one, &two], "extra", NodeState::Active).await;
    let everywhere = view(&two, "extra").expect("just seen").servers;
    assert!(
        everywhere
            .iter()
            .all(|server| server.hears && server.state == Some(NodeState::Active)),
        "{everywhere:?}"
    );
    for id in &ids {
        two.adapter.drain_node(&node_id(id)).expect("extra is heard by both");
        sees(&[&one, &two], id, NodeState::Gone).await;
    }
    enough.cancel();
    let sent = soon("all is sent", load).await.expect("no panic");
    assert!(sent > 100, "only {sent} were sent");
    let mut got: Vec<u32> = Vec::new();
    for _ in 0..sent {
        got.push(bob.frame().await.parse().expect("a number"));
    }
    got.sort_unstable();
    assert_eq!(got, (0..sent).collect::<Vec<_>>());
    bob.nothing().await;
}

async fn a_late_and_a_restarted_server_learn_what_was_changed(mut ground: Ground) {
    let (one, two) = (
        Server::ready(quick(&ground, "one")).await,
        Server::ready(quick(&ground, "two")).await,
    );
    acquainted(&[&one, &two]).await;
    let first = one.adapter.topology()[0].id.clone();
    let url = ground.one_more("extra");
    one.adapter.add_node(&url).expect("a node");
    sees(&[&one, &two], "extra", NodeState::Active).await;
    one.adapter.drain_node(&first).expect("others are heard");
    sees(&[&one, &two], first.as_str(), NodeState::Gone).await;
    two.stop().await;
    // Both are configured with the initial nodes.
    let (two, three) = (
        Server::start(quick(&ground, "two")),
        Server::start(quick(&ground, "three")),
    );
    for server in [&two, &three] {
        soon("it is ready", server.adapter.ready()).await;
        sees(&[server], "extra", NodeState::Active).await;
        sees(&[server], first.as_str(), NodeState::Gone).await;
    }
    let mut bob = three.client("bob").await;
    acquainted(&[&one, &two, &three]).await;
    one.adapter.to_client(&client("bob"), frame("x")).await.expect("sent");
    assert_eq!(bob.frame().await, "x");
}

async fn an_impossible_change_is_rejected_with_an_error_that_says_what_to_do(mut ground: Ground) {
    let one = Server::ready(quick(&ground, "one")).await;
    let ids: Vec<NodeId> = one.adapter.topology().into_iter().map(|node| node.id).collect();
    assert_eq!(
        one.adapter.drain_node(&node_id("none")),
        Err(TopologyError::Unknown(node_id("none")))
    );
    let (last, others) = ids.split_last().expect("three nodes");
    for id in others {
        one.adapter.drain_node(id).expect("another one is active");
        one.adapter.drain_node(id).expect("draining twice is draining once");
    }
    let refused = one.adapter.drain_node(last).expect_err("the last one");
    assert!(refused.to_string().contains("no other active Redis node"), "{refused}");
    assert!(one.adapter.add_node("nonsense").is_err());
    let url = ground.one_more("extra");
    let taken = url.replace("extra", last.as_str());
    if let Err(refused) = one.adapter.add_node(&taken) {
        assert!(matches!(refused, TopologyError::Elsewhere { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_do_not_travel_and_each_server_uses_its_own() {
    let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&["--requirepass", "secret"])).collect();
    let url = |index: usize| NodeUrl::parse(&redis[index].url(&format!("redis-{index}"))).expect("valid");
    let bus = Bus::Redis(vec![url(0).with_password("secret")]);
    let one = Server::ready(options("one", "ws-node", bus)).await;
    let with_password = format!("redis://:secret@127.0.0.1:{}#redis-1", redis[1].port);
    let refused = one.adapter.add_node(&with_password).expect_err("a password");
    assert_eq!(refused, TopologyError::Credentials);
    one.adapter.add_node(&redis[1].url("redis-1")).expect("a node");
    sees(&[&one], "redis-1", NodeState::Active).await;
    assert!(!format!("{:?}", one.adapter.topology()).contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_no_server_can_reach_is_shown_as_joining_and_is_not_used() {
    let ground = Ground::redis();
    let (one, two) = ground.pair().await;
    let mut bob = two.client("bob").await;
    one.adapter.add_node("redis://127.0.0.1:1#nowhere").expect("a URL");
    until("both know it", || state(&two, "nowhere") == Some(NodeState::Joining)).await;
    bob_is_reached(&one, &mut bob).await;
    let status = || {
        one.adapter
            .nodes()
            .borrow()
            .iter()
            .find(|node| node.id.as_str() == "nowhere")
            .cloned()
    };
    until("its status says why", || {
        status().is_some_and(|status| status.error.is_some())
    })
    .await;
    two.adapter
        .drain_node(&node_id("nowhere"))
        .expect("it can be taken back");
    until("it is gone", || {
        state(&one, "nowhere") == Some(NodeState::Gone) || state(&one, "nowhere") == Some(NodeState::Draining)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_were_configured_differently_are_reported() {
    let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
    let url = |index: usize| NodeUrl::parse(&redis[index].url(&format!("redis-{index}"))).expect("valid");
    let one = Server::ready(options("one", "ws-node", Bus::Redis(vec![url(0), url(1)]))).await;
    let two = Server::ready(options("two", "ws-node", Bus::Redis(vec![url(0)]))).await;
    acquainted(&[&one, &two]).await;
    sees(&[&two], "redis-1", NodeState::Active).await;
    let found = two.adapter.differences();
    let told: Vec<_> = found
        .iter()
        .map(|it| {
            (
                it.server.as_str(),
                it.setting.as_str(),
                it.theirs.as_str(),
                it.ours.as_str(),
            )
        })
        .collect();
    assert_eq!(told, [("one", "redis", "redis-0 redis-1", "redis-0")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_cut_off_for_longer_than_the_window_reports_a_lapse() {
    let bus = MemoryBus::new(["a"]).expect("valid");
    let one = Server::ready(Options {
        replay_window: Duration::from_millis(500),
        ..options("one", "ws-node", Bus::Memory(bus.clone()))
    })
    .await;
    assert!(one.adapter.lapses().borrow().is_empty());
    bus.set_fault("a", Fault::Fail);
    until("isolated", || !one.adapter.is_ready()).await;
    bus.set_fault("a", Fault::None);
    until("the lapse is reported", || !one.adapter.lapses().borrow().is_empty()).await;
    let lapses = one.adapter.lapses().borrow().clone();
    assert_eq!(lapses[0].reason, LapseReason::Isolated);
    assert!(lapses[0].length_ms >= 500, "{lapses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_too_small_is_reported_when_it_is_needed() {
    let bus = MemoryBus::new(["a", "b"]).expect("valid");
    let small = |name: &str| Options {
        replay_bytes: 4096,
        ..options(name, "ws-node", Bus::Memory(bus.clone()))
    };
    let (one, two) = (Server::ready(small("one")).await, Server::ready(small("two")).await);
    acquainted(&[&one, &two]).await;
    let _bob = two.client("bob").await;
    for n in 0..200 {
        one.adapter
            .to_client(&client("bob"), frame(&n.to_string()))
            .await
            .expect("sent");
    }
    bus.cut_subscribers("a");
    bus.cut_subscribers("b");
    until("the lapse is reported", || {
        one.adapter
            .lapses()
            .borrow()
            .iter()
            .any(|lapse| lapse.reason == LapseReason::WindowTooSmall)
    })
    .await;
}
