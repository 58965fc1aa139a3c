//! Two players on different ws-nodes find each other and play the demo game to its end; game-logic servers die meanwhile.

use std::time::Duration;

use e2e::{Client, Cluster, Process, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Plays until the match ends, always running to the nearest target. Returns the payload of `matchEnd`.
async fn play(mut client: Client, id: &str, found: Value) -> Value {
    let the_match = found["match"].clone();
    loop {
        let frame = client.frame("a state or the end").await;
        match frame["event"].as_str() {
            Some("matchEnd") => return frame["payload"].clone(),
            Some("matchState") => {
                if let Some(direction) = towards_nearest(&frame["payload"], id) {
                    client
                        .event("matchInput", json!({"match": the_match, "direction": direction}))
                        .await;
                }
            }
            _ => {}
        }
    }
}

fn towards_nearest(payload: &Value, id: &str) -> Option<Value> {
    let state = if payload["players"].is_array() {
        payload
    } else {
        &payload["state"]
    };
    let me = state["players"].as_array()?.iter().find(|player| player["id"] == id)?;
    let at = |value: &Value| Some((value["x"].as_f64()?, value["y"].as_f64()?));
    let (x, y) = at(me)?;
    let targets = state["targets"].as_array()?.iter().filter_map(at);
    let (dx, dy) = targets
        .map(|(tx, ty)| (tx - x, ty - y))
        .min_by(|a, b| a.0.hypot(a.1).total_cmp(&b.0.hypot(b.1)))?;
    let length = dx.hypot(dy).max(1.0);
    Some(json!({"x": dx / length, "y": dy / length}))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_players_on_different_ws_nodes_play_a_game_to_its_end() {
    let cluster = Cluster::start(3, 2, 2).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    for client in [&mut ann, &mut bob] {
        let ticket = client.request("matchRequest", json!({"rating": 1000})).await;
        assert!(ticket["ticket"].is_string(), "{ticket}");
    }
    let (found_by_ann, found_by_bob) = (ann.push("matchFound").await, bob.push("matchFound").await);
    assert_eq!(found_by_ann["match"], found_by_bob["match"]);
    let mut players: Vec<&str> = found_by_ann["players"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    players.sort_unstable();
    assert_eq!(players, ["ann", "bob"]);
    let (end_of_ann, end_of_bob) = tokio::join!(play(ann, "ann", found_by_ann), play(bob, "bob", found_by_bob));
    assert_eq!(end_of_ann, end_of_bob);
    let winner = end_of_ann["result"]["winner"]
        .as_str()
        .unwrap_or_else(|| panic!("no winner: {end_of_ann}"));
    assert!(["ann", "bob"].contains(&winner));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_whose_connection_ends_leaves_the_queue() {
    let cluster = Cluster::start(1, 2, 2).await;
    let mut ann = cluster.client(0, "ann").await;
    ann.request("matchRequest", json!({})).await;
    ann.close().await;
    let (mut bob, mut cid) = (cluster.client(1, "bob").await, cluster.client(0, "cid").await);
    bob.request("matchRequest", json!({})).await;
    bob.nothing().await;
    cid.request("matchRequest", json!({})).await;
    let found = bob.push("matchFound").await;
    let players = found["players"].to_string();
    assert!(
        players.contains("bob") && players.contains("cid") && !players.contains("ann"),
        "{found}"
    );
}

/// The number of waiting players in all modes, according to a game-logic server's ops port.
async fn waiting(logic: &Process) -> u64 {
    let stats: Value = serde_json::from_str(&logic.ops("/stats").await).expect("JSON");
    let waiting = stats["waiting"].as_object().expect("modes");
    waiting.values().filter_map(Value::as_u64).sum()
}

/// Asks for a match and returns the ticket.
async fn ask(client: &mut Client, mode: &str) -> Value {
    let place = client.request("matchRequest", json!({"mode": mode})).await;
    assert!(place["ticket"].is_string(), "{place}");
    place["ticket"].clone()
}

fn lost(ticket: &Value, mode: &str) -> Value {
    json!({"ticket": ticket, "mode": mode, "reason": "server-lost"})
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_players_are_told_when_the_only_game_logic_dies_and_are_matched_by_the_next_one() {
    let mut cluster = Cluster::start(2, 2, 1).await;
    let mut players = Vec::new();
    for (index, mode) in ["arena", "arena", "duel"].into_iter().enumerate() {
        let mut client = cluster.client(index % 2, &format!("p{index}")).await;
        let ticket = ask(&mut client, mode).await;
        players.push((client, mode, ticket));
    }
    let mut idle = cluster.client(0, "idle").await;
    ask(&mut idle, "arena").await;
    assert_eq!(idle.request("matchCancel", json!({})).await, json!({"cancelled": 1}));

    cluster.logic[0].kill().await;
    for (client, mode, ticket) in &mut players {
        assert_eq!(client.push("matchCancelled").await, lost(ticket, mode));
    }
    idle.nothing().await;

    cluster.logic[0] = cluster.game_logic("logic-1");
    cluster.logic[0].ready().await;
    let [_, _, (duelist, ..)] = &mut players[..] else {
        panic!("three players");
    };
    for client in [&mut *duelist, &mut idle] {
        until_answered(client).await;
    }
    let (found, same) = (duelist.push("matchFound").await, idle.push("matchFound").await);
    assert_eq!(found["match"], same["match"]);
}

/// Asks for a duel until a server accepts the request.
async fn until_answered(client: &mut Client) {
    let start = std::time::Instant::now();
    while !client.request("matchRequest", json!({"mode": "duel"})).await["ticket"].is_string() {
        assert!(start.elapsed() < e2e::SOON, "no server takes the wish");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_several_game_logic_dies_only_those_who_waited_there_are_told_and_all_can_be_matched() {
    let mut cluster = Cluster::start(2, 2, 3).await;
    let mut ann = cluster.client(0, "ann").await;
    let mut bob = cluster.client(1, "bob").await;
    let tickets = [ask(&mut ann, "duel").await, ask(&mut bob, "arena").await];
    let counts = join_all(cluster.logic.iter().map(waiting)).await;
    assert_eq!(counts.iter().sum::<u64>(), 2, "{counts:?}");
    // The servers without waiting players die first: no client is told anything.
    for (index, _) in counts.iter().enumerate().filter(|(_, count)| **count == 0) {
        cluster.logic[index].kill().await;
    }
    let alive = counts.iter().filter(|count| **count > 0).count();
    until("the dead are missed", || async {
        cluster.servers().await.len() == alive + 3
    })
    .await;
    ann.nothing().await;
    bob.nothing().await;
    // Then the server that holds them.
    for (index, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        cluster.logic[index].kill().await;
    }
    assert_eq!(ann.push("matchCancelled").await, lost(&tickets[0], "duel"));
    assert_eq!(bob.push("matchCancelled").await, lost(&tickets[1], "arena"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_players_of_a_match_are_told_when_the_only_game_logic_dies_and_leave_its_room() {
    let mut cluster = Cluster::start(2, 2, 1).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    ask(&mut ann, "duel").await;
    ask(&mut bob, "duel").await;
    let found = ann.push("matchFound").await;
    cluster.logic[0].kill().await;
    let end = json!({"match": found["match"], "reason": "server-lost", "result": null});
    assert_eq!(ann.push("matchEnd").await, end);
    assert_eq!(bob.push("matchEnd").await, end);
    for node in &cluster.nodes {
        until("the room is empty", || async {
            let stats: Value = serde_json::from_str(&node.ops("/stats").await).expect("JSON");
            stats["rooms"] == 0
        })
        .await;
    }
}
