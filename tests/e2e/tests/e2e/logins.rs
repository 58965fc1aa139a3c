//! One login or several, over real Redis: which connection stays when one client id logs in on two ws-nodes.

use e2e::{Client, Cluster, Process, until};
use futures_util::future::join;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_logins_at_once_on_two_ws_nodes_exactly_one_stays_also_while_a_redis_dies() {
    let mut cluster = Cluster::start(2, 2, 0).await;
    let mut former = cluster.client(0, "ann").await;
    assert!(former.is_served().await);
    let mut later = cluster.client(1, "ann").await;
    assert_eq!(former.closed().await.map(|(code, _)| code), Some(4012));
    assert!(later.is_served().await);

    let mut winners = Vec::new();
    for round in 0..60 {
        if round == 20 {
            cluster.redis[0].kill();
        }
        let id = format!("c{round}");
        let (one, two) = join(cluster.client(0, &id), cluster.client(1, &id)).await;
        winners.push(winner(one, two).await);
    }
    for (round, winner) in winners.iter_mut().enumerate() {
        assert!(winner.is_served().await, "round {round}: nobody is left");
    }
    until("one connection of each client is left, and ann's", || async {
        let mut connections = 0;
        for node in &cluster.nodes {
            connections += connections_of(node).await;
        }
        connections == 61
    })
    .await;
}

/// The one of two that is not closed.
async fn winner(mut one: Client, mut two: Client) -> Client {
    let (loser, winner) = tokio::select! {
        closed = one.closed() => (closed, two),
        closed = two.closed() => (closed, one),
    };
    assert_eq!(loser.map(|(code, _)| code), Some(4012));
    winner
}

async fn connections_of(node: &Process) -> u64 {
    let stats: Value = serde_json::from_str(&node.ops("/stats").await).expect("JSON");
    stats["connections"].as_u64().expect("a number")
}
