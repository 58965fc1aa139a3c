//! Many clients that come, go and come back at once, on several shards: the order of each is kept.

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use ws_node::EdgeSettings;

use crate::common::{Server, until};
use crate::consumer::{ALL, Consumer, kind, url, watched};

const CLIENTS: usize = 20;
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_of_reconnects_each_client_is_told_of_in_order_and_nothing_is_missing() {
    let consumer = Consumer::start().await;
    let settings = EdgeSettings {
        shards: 4,
        ..watched(&url(&consumer.backend), &ALL, &json!({}))
    };
    let server = Server::alone(settings).await;
    let clients = (0..CLIENTS).map(|number| come_and_go(&server, number));
    join_all(clients).await;
    let expected = CLIENTS * ROUNDS * 4;
    until("everything is told", || consumer.events().len() >= expected).await;
    let events = consumer.distinct();
    assert_eq!((events.len(), consumer.events().len()), (expected, expected));
    let mut of_client: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in &events {
        of_client
            .entry(event["subject"].as_str().expect("a client"))
            .or_default()
            .push(event);
    }
    for (client, events) in of_client {
        for round in events.chunks(4) {
            let kinds: Vec<_> = round.iter().map(|event| kind(event)).collect();
            assert_eq!(kinds, ["connected", "joined", "left", "disconnected"], "{client}");
            let connection = &round[0]["data"]["connection"];
            assert!(
                round.iter().all(|event| event["data"]["connection"] == *connection),
                "{client}"
            );
        }
    }
}

/// Connects, joins a room and goes, again and again.
async fn come_and_go(server: &Server, number: usize) {
    let id = format!("c{number}");
    for _ in 0..ROUNDS {
        let mut client = server.client(&id).await;
        let joined = client
            .request("joinRoom", json!({"namespace": "chat", "roomId": "1"}))
            .await;
        assert_eq!(joined, json!({"msg": "joined"}));
        client.socket.close(None).await.expect("closes");
        // Until the server has closed its side, so that the rounds do not overlap.
        client.close_code().await;
        let client_id = wsmesh_adapter::ClientId::new(&id).expect("valid");
        until("it is gone", || !server.node.adapter().is_here(&client_id)).await;
    }
}
