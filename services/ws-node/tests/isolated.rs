//! A ws-node whose Redis nodes are dead or hang: local events are handled at once, and everything else is answered before
//! clients give up.

mod common;

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;
use wsmesh_adapter::{Fault, MemoryBus};

use common::{Client, Other, PATIENCE, Server, bus, demo, sees, until};

/// How long clients wait for an answer by default.
const CLIENTS_WAIT: Duration = Duration::from_secs(5);

fn all(bus: &MemoryBus, fault: Fault) {
    ["a", "b", "c"]
        .iter()
        .for_each(|node| assert!(bus.set_fault(node, fault)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_event_is_answered_at_once_without_any_redis() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    all(&bus, Fault::Fail);
    until("isolated", || !server.node.adapter().is_connected()).await;
    // At least one of many tries, because a busy machine may be slow; a client that has to wait for a node would wait longer in
    // every one.
    let (mut fastest, mut tried) = (Duration::MAX, 0);
    while fastest > Duration::from_millis(450) {
        let since = Instant::now();
        let mut client = server.client(&format!("c{tried}")).await;
        let reply = client.request("echo", json!(1)).await;
        assert_eq!(reply, json!({"ok": true}));
        fastest = fastest.min(since.elapsed());
        tried += 1;
        assert!(tried < 50, "the fastest took {fastest:?}");
    }
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_need_redis_are_answered_before_clients_give_up() {
    for fault in [Fault::Pause, Fault::Fail] {
        let bus = bus();
        let server = Server::start("edge", &bus, demo()).await;
        let other = Other::start("logic", "game-logic", &bus).await;
        sees(server.node.adapter(), 2).await;
        other.adapter.on("gamePing", |_| std::future::pending());
        all(&bus, fault);
        let client = |id: &'static str| server.client(id);
        let asking = [
            ("gamePing", json!({})),
            ("joinRoom", json!({"roomId": "1"})),
            ("command", json!({"action": "broadcast", "msg": 1})),
            ("command", json!({"action": "toPlayer", "toPlayerId": "7", "msg": 1})),
        ];
        let asking = asking
            .into_iter()
            .zip(["c0", "c1", "c2", "c3"])
            .map(async |((event, payload), id)| {
                let mut client: Client = client(id).await;
                let since = Instant::now();
                let reply = timeout(PATIENCE, client.request(event, payload)).await;
                let reply = reply.unwrap_or_else(|_| panic!("{fault:?}: {event} is not answered"));
                // One more second for a busy machine.
                let limit = CLIENTS_WAIT + Duration::from_secs(1);
                assert!(
                    since.elapsed() < limit,
                    "{fault:?}: {event} took {:?}: {reply}",
                    since.elapsed()
                );
            });
        futures_util::future::join_all(asking).await;
    }
}
