//! Two players on different ws-nodes find each other and play the demo game to its end.

use e2e::{Client, Cluster};
use serde_json::{Value, json};

/// Plays until the match ends: always runs to the nearest target. The payload of `matchEnd`.
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
