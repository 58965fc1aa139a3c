//! Five ws-nodes, three Redis, fifty clients: every message reaches exactly its receivers, also after a failure.

use std::collections::BTreeSet;

use e2e::{Client, Cluster, until};
use serde_json::{Value, json};

const CLIENTS: usize = 50;

/// Fifty clients spread over the ws-nodes, without a pattern that follows the nodes.
async fn fifty(cluster: &Cluster) -> Vec<Client> {
    let mut clients = Vec::new();
    for id in 0..CLIENTS {
        clients.push(
            cluster
                .client((id * 7 + id / 5) % cluster.nodes.len(), &id.to_string())
                .await,
        );
    }
    clients
}

/// Lets client 0 send a command, and waits until its receivers have it. Then every client gets a broadcast, and nothing else.
/// The two use different Redis nodes, so either may arrive first.
async fn reaches(clients: &mut [Client], command: Value, marker: &str, expected: &BTreeSet<usize>) {
    let sent = clients[0].request("command", command.clone()).await;
    assert_eq!(sent["msg"], "sent", "{command}: {sent}");
    clients[0]
        .request("command", json!({"action": "broadcast", "msg": marker}))
        .await;
    for (id, client) in clients.iter_mut().enumerate() {
        let mut missing = BTreeSet::from([marker.to_owned()]);
        if expected.contains(&id) {
            missing.insert(command["msg"].as_str().expect("text").to_owned());
        }
        while !missing.is_empty() {
            let said = client.push("say").await;
            let msg = said["msg"].as_str().expect("text");
            assert!(
                missing.remove(msg),
                "client {id} got {said}, which is not for it, or twice"
            );
        }
    }
    futures_util::future::join_all(clients.iter_mut().map(Client::nothing)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_on_five_ws_nodes_get_exactly_their_messages() {
    let cluster = Cluster::start(3, 5, 1).await;
    let mut clients = fifty(&cluster).await;
    let members: BTreeSet<usize> = (0..CLIENTS).filter(|id| id % 3 == 0).collect();
    for &id in &members {
        assert_eq!(
            clients[id].request("joinRoom", json!({"roomId": "1000"})).await,
            json!({"msg": "joined"})
        );
    }
    let everyone: BTreeSet<usize> = (0..CLIENTS).collect();
    let broadcast = json!({"action": "broadcast", "msg": "to all"});
    reaches(&mut clients, broadcast, "m1", &everyone).await;
    let one = json!({"action": "toPlayer", "toPlayerId": "13", "msg": "to 13"});
    reaches(&mut clients, one, "m2", &[13].into()).await;
    let several = json!({"action": "toPlayers", "toPlayerIds": ["3", "10", "25"], "msg": "to three"});
    reaches(&mut clients, several, "m3", &[3, 10, 25].into()).await;
    let room = json!({"action": "toRoom", "roomId": "1000", "msg": "to the room"});
    reaches(&mut clients, room.clone(), "m4", &members).await;
    for id in [0, 3] {
        assert_eq!(
            clients[id].request("leaveRoom", json!({"roomId": "1000"})).await,
            json!({"msg": "left"})
        );
    }
    let rest: BTreeSet<usize> = members.into_iter().filter(|id| ![0, 3].contains(id)).collect();
    reaches(&mut clients, room, "m5", &rest).await;

    let shown = cluster.admin.get("/api/v1/rooms/chat/1000").await;
    assert_eq!(
        (&shown["complete"], &shown["missing"]),
        (&json!(true), &json!([])),
        "{shown}"
    );
    for client in &mut clients {
        assert_eq!(client.request("gamePing", json!({})).await["ok"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_works_without_a_killed_redis_and_uses_it_again_after_its_restart() {
    let mut cluster = Cluster::start(3, 2, 1).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    for client in [&mut ann, &mut bob] {
        client.request("joinRoom", json!({"roomId": "1"})).await;
    }
    for index in 0..3 {
        cluster.redis[index].kill();
        until("everyone has left the dead node", || async {
            let metrics = [
                cluster.nodes[0].ops("/metrics").await,
                cluster.nodes[1].ops("/metrics").await,
            ];
            metrics
                .iter()
                .all(|text| text.contains(&format!("wsmesh_node_up{{node=\"redis-{index}\"}} 0")))
        })
        .await;
        for n in 0..50 {
            let command = json!({"action": "toRoom", "roomId": "1", "msg": n});
            assert_eq!(ann.request("command", command).await["msg"], "sent");
            assert_eq!(
                (
                    bob.push("say").await["msg"].clone(),
                    ann.push("say").await["msg"].clone()
                ),
                (n.into(), n.into())
            );
        }
        assert_eq!(bob.request("gamePing", json!({})).await["ok"], true);
        cluster.restart_redis(index);
        until("everyone hears the node again", || async {
            let metrics = [
                cluster.nodes[0].ops("/metrics").await,
                cluster.nodes[1].ops("/metrics").await,
            ];
            metrics
                .iter()
                .all(|text| text.contains(&format!("wsmesh_node_up{{node=\"redis-{index}\"}} 1")))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_killed_ws_node_leave_rooms_and_roster() {
    let mut cluster = Cluster::start(3, 2, 1).await;
    let (mut ann, mut bob) = (cluster.client(0, "ann").await, cluster.client(1, "bob").await);
    for client in [&mut ann, &mut bob] {
        client.request("joinRoom", json!({"roomId": "1"})).await;
    }
    cluster.nodes[1].kill().await;
    let gone = std::time::Instant::now();
    until("the roster forgets it", || async {
        !cluster.servers().await.contains(&"ws-1".to_owned())
    })
    .await;
    assert!(gone.elapsed().as_secs() < 10, "{:?}", gone.elapsed());
    let room = cluster.admin.get("/api/v1/rooms/chat/1").await;
    assert_eq!(room["complete"], true, "{room}");
    let text = room.to_string();
    assert!(text.contains("\"ann\"") && !text.contains("\"bob\""), "{room}");
    let sent = ann
        .request(
            "command",
            json!({"action": "toPlayer", "toPlayerId": "bob", "msg": "x"}),
        )
        .await;
    assert_eq!(sent["offline"], json!(["bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_ws_node_says_goodbye_to_its_clients_and_the_others_at_once() {
    let mut cluster = Cluster::start(2, 2, 1).await;
    let mut bob = cluster.client(1, "bob").await;
    assert!(bob.is_served().await);
    let node = cluster.nodes.pop().expect("two were started");
    node.signal("-TERM");
    let (code, reason) = bob.closed().await.expect("a close frame");
    assert_eq!(code, 1012, "{reason}");
    assert!(reason.starts_with("retry-after-ms="), "{reason}");
    let ended = node.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    until("the roster forgets it", || async {
        !cluster.servers().await.contains(&"ws-1".to_owned())
    })
    .await;
}
