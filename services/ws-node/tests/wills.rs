//! Wills: clients get the messages that a lost server has left with their ws-node, once, and nothing else.

mod common;

use std::time::Duration;

use common::{Client, Other, Received, Server, bus, demo, sees, until};
use serde_json::json;
use ws_node::EdgeSettings;
use wsmesh_adapter::{Adapter, ClientId, Instance, Payload, RequestOptions, Room, ServerName, Target};
use wsmesh_protocol::forward::{CLIENT_WILLS, Will, WillChange, WillRoom, Wills};

/// The instance of a server, which identifies the process.
fn instance(adapter: &Adapter) -> Instance {
    let servers = adapter.servers();
    let own = servers.iter().find(|server| server.name == *adapter.name());
    own.expect("it knows itself").instance
}

fn left(client: &str, id: &str, room: Option<&Room>) -> WillChange {
    WillChange::Left(Will {
        client: client.to_owned(),
        id: id.to_owned(),
        frame: json!({"event": "lost", "payload": id}).to_string(),
        room: room.map(|room| WillRoom {
            namespace: room.namespace.to_string(),
            room: room.id.to_string(),
        }),
    })
}

fn revoked(client: &str, id: &str) -> WillChange {
    WillChange::Revoked {
        client: client.to_owned(),
        id: id.to_owned(),
    }
}

async fn tell(service: &Adapter, changes: Vec<WillChange>) {
    let instance = instance(service).0;
    let payload = Payload::new(&Wills { instance, changes }).expect("JSON");
    let edge = Target::Server(ServerName::new("edge").expect("valid"));
    service.emit(edge, CLIENT_WILLS, payload).await.expect("sent");
}

async fn lost(client: &mut Client, ids: &[&str]) {
    for id in ids {
        assert_eq!(client.frame().await, json!({"event": "lost", "payload": id}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_once_what_only_the_lost_server_held_and_leave_its_rooms() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    let (one, two) = (
        Other::start("logic-1", "logic", &bus).await,
        Other::start("logic-2", "logic", &bus).await,
    );
    sees(server.node.adapter(), 3).await;
    let mut ann = server.client("ann").await.settled().await;
    let bob = server.client("bob").await.settled().await;
    let id = ClientId::new("ann").expect("valid");
    let room = |id: &str| Room::new("match", id).expect("valid");
    let edge = server.node.adapter();
    edge.join(&id, room("held")).await.expect("here");
    tell(
        &one.adapter,
        vec![
            left("ann", "revoked", None),
            left("ann", "ticket", None),
            left("ann", "match", Some(&room("held"))),
            left("ann", "left before", Some(&room("other"))),
            left("ann", "taken over", None),
            left("bob", "gone", None),
            left("nobody", "never here", None),
            left("", "no id", None),
            revoked("ann", "revoked"),
        ],
    )
    .await;
    drop(bob);
    let bob = ClientId::new("bob").expect("valid");
    until("bob is gone", || !edge.is_here(&bob)).await;
    tell(&two.adapter, vec![left("ann", "taken over", None)]).await;
    // Everything sent before is handled once this is answered.
    let edge_name = ServerName::new("edge").expect("valid");
    let asked = two.adapter.call(
        Target::Server(edge_name),
        "unknown",
        Payload::null(),
        RequestOptions::default(),
    );
    asked.await.expect_err("nobody handles it");
    one.driver.shutdown(Duration::from_secs(10)).await;
    lost(&mut ann, &["ticket", "match"]).await;
    until("the room is left", || edge.joined_rooms(&id).is_empty()).await;
    two.driver.shutdown(Duration::from_secs(10)).await;
    // Nothing else comes, and nothing twice.
    lost(&mut ann, &["taken over"]).await;
    assert_eq!(ann.request("echo", json!(null)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_for_their_turn_to_leave_are_told_too() {
    let bus = bus();
    let settings = EdgeSettings {
        drain_time: Duration::from_secs(60),
        drain_rate: 1,
        ..demo()
    };
    let server = Server::start("edge", &bus, settings).await;
    let logic = Other::start("logic-1", "logic", &bus).await;
    sees(server.node.adapter(), 2).await;
    let mut clients = Vec::new();
    for number in 0..40 {
        clients.push(server.client(&format!("c{number}")).await.settled().await);
    }
    let wills = (0..40).map(|number| left(&format!("c{number}"), "ticket", None));
    tell(&logic.adapter, wills.collect()).await;
    let ending = tokio::spawn(server.node.shutdown(Duration::from_secs(90)));
    // The first client is sent away; the others follow in the next half minute.
    let heard = futures_util::future::select_all(clients.iter_mut().map(|client| Box::pin(client.next())));
    assert!(matches!(heard.await.0, Received::Closed(_)));
    logic.driver.shutdown(Duration::from_secs(10)).await;
    let heard = clients.into_iter().map(async |mut client| client.next().await);
    let heard = futures_util::future::join_all(heard).await;
    let frame = Received::Frame(json!({"event": "lost", "payload": "ticket"}));
    assert!(heard.contains(&frame), "{heard:?}");
    ending.abort();
}
