//! Players leave in every possible way; servers vanish, come and stop.

use serde_json::{Value, json};

use crate::support::{Cluster, Server, until};
use crate::{found, quick};

#[tokio::test]
async fn a_player_who_leaves_or_disconnects_ends_a_duel_and_the_other_wins() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    for round in 0..2 {
        ann.wait_for_match(json!({})).await;
        bob.wait_for_match(json!({})).await;
        let game = found(&mut ann, &mut bob).await;
        if round == 0 {
            assert_eq!(
                ann.request("matchLeave", json!({"match": game})).await,
                json!({"ok": true, "left": true})
            );
            let end = bob.push("matchEnd").await;
            assert_eq!(
                (&end["reason"], &end["result"]["winner"]),
                (&json!("players-left"), &json!("bob"))
            );
            until("the match is forgotten", || (server.stats)()["matches"] == 0).await;
        }
    }
    ann.close().await;
    assert_eq!(bob.push("matchEnd").await["reason"], "players-left");
}

#[tokio::test]
async fn a_disconnected_player_leaves_the_queue() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let ann = ws.client("ann").await;
    ann.wait_for_match(json!({})).await;
    until("she waits", || (server.stats)()["waiting"]["duel"] == 1).await;
    ann.close().await;
    until("she waits no more", || (server.stats)()["waiting"]["duel"] == 0).await;
}

#[tokio::test]
async fn a_ws_node_that_vanishes_takes_its_clients_out_of_queues_and_matches() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let (west, east) = (cluster.ws_node("ws-1").await, cluster.ws_node("ws-2").await);
    let (mut ann, mut bob, cid) = (
        west.client("ann").await,
        east.client("bob").await,
        west.client("cid").await,
    );
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    found(&mut ann, &mut bob).await;
    cid.wait_for_match(json!({"mode": "arena"})).await;
    west.vanish().await;
    assert_eq!(bob.push("matchEnd").await["reason"], "players-left");
    until("cid waits no more", || (server.stats)()["waiting"]["arena"] == 0).await;
}

#[tokio::test]
async fn tickets_of_a_stopped_server_are_matched_by_the_others() {
    let cluster = Cluster::new();
    let mut servers = vec![
        cluster.game_logic("game-1", quick()).await,
        cluster.game_logic("game-2", quick()).await,
    ];
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    for server in &servers {
        server.sees(3).await;
    }
    let ticket = ann.wait_for_match(json!({})).await["ticket"].clone();
    let waits_at = |servers: &[Server]| servers.iter().position(|s| (s.stats)()["waiting"]["duel"] == 1);
    until("she waits somewhere", || waits_at(&servers).is_some()).await;
    let owner = waits_at(&servers).expect("somewhere");
    servers.remove(owner).stop().await;
    assert_eq!((servers[0].stats)()["waiting"]["duel"], 1);
    assert_eq!(ann.wait_for_match(json!({})).await["ticket"], ticket);
    bob.wait_for_match(json!({})).await;
    found(&mut ann, &mut bob).await;
}

#[tokio::test]
async fn a_new_server_takes_over_the_queues_that_it_owns() {
    let cluster = Cluster::new();
    let first = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let clients = [ws.client("ann").await, ws.client("bob").await];
    clients[0].wait_for_match(json!({"mode": "duel"})).await;
    clients[1].wait_for_match(json!({"mode": "arena"})).await;
    // With so many servers, the first one certainly does not own both queues for long.
    let mut others = Vec::new();
    for i in 2..6 {
        others.push(cluster.game_logic(&format!("game-{i}"), quick()).await);
    }
    let waiting = |stats: Value| ["duel", "arena"].map(|mode| stats["waiting"][mode].as_u64().expect("a number"));
    until("somebody else has a ticket", || {
        let here: u64 = waiting((first.stats)()).iter().sum();
        let there: u64 = others.iter().flat_map(|server| waiting((server.stats)())).sum();
        there > 0 && here + there == 2
    })
    .await;
}

#[tokio::test]
async fn when_the_only_server_stops_players_in_matches_and_in_queues_are_told() {
    let cluster = Cluster::new();
    let server = cluster.game_logic("game-1", quick()).await;
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob, mut cid) = (ws.client("ann").await, ws.client("bob").await, ws.client("cid").await);
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    found(&mut ann, &mut bob).await;
    let ticket = cid.wait_for_match(json!({})).await["ticket"].clone();
    server.stop().await;
    assert_eq!(ann.push("matchEnd").await["reason"], "server-restart");
    assert_eq!(bob.push("matchEnd").await["reason"], "server-restart");
    let told = cid.push("matchCancelled").await;
    assert_eq!(
        told,
        json!({"ticket": ticket, "mode": "duel", "reason": "server-restart"})
    );
}

#[tokio::test]
async fn players_of_a_server_that_vanished_are_told_by_another_and_can_play_again() {
    let cluster = Cluster::new();
    let mut servers = vec![
        cluster.game_logic("game-1", quick()).await,
        cluster.game_logic("game-2", quick()).await,
    ];
    let ws = cluster.ws_node("ws-1").await;
    let (mut ann, mut bob) = (ws.client("ann").await, ws.client("bob").await);
    for server in &servers {
        server.sees(3).await;
    }
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    let game = found(&mut ann, &mut bob).await;
    ann.push("matchState").await;
    let host = servers
        .iter()
        .position(|server| (server.stats)()["matches"] == 1)
        .expect("somewhere");
    servers.remove(host).vanish().await;
    let end = ann.push("matchEnd").await;
    assert_eq!(end, json!({"match": game, "reason": "server-lost", "result": null}));
    bob.push("matchEnd").await;
    ann.wait_for_match(json!({})).await;
    bob.wait_for_match(json!({})).await;
    found(&mut ann, &mut bob).await;
}
