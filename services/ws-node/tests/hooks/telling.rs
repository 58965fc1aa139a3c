//! What a watch is told, by whoever it is caused.

use serde_json::{Value, json};
use wsmesh_adapter::{ClientContext, ClientId, Room};
use wsmesh_protocol::forward::{CLIENT_CONNECTED, CLIENT_DISCONNECTED, CLIENT_JOINED, ClientDisconnected, ClientMoved};

use crate::common::{Client, Other, Server, bus, demo, until};
use crate::consumer::{ALL, Consumer, kind, url, watch, watched};

fn room(id: &str) -> Room {
    Room::new("chat", id).expect("valid")
}

async fn watching(events: &[&str], more: &Value) -> (Consumer, Server) {
    let consumer = Consumer::start().await;
    let server = Server::alone(watched(&url(&consumer.backend), events, more)).await;
    (consumer, server)
}

async fn join(client: &mut Client, room: &str) {
    let joined = client
        .request("joinRoom", json!({"namespace": "chat", "roomId": room}))
        .await;
    assert_eq!(joined, json!({"msg": "joined"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_happens_to_a_client_is_told_in_order() {
    let (consumer, server) = watching(&ALL, &json!({})).await;
    let (adapter, ann) = (server.node.adapter(), ClientId::new("ann").expect("valid"));
    let mut client = server.client("ann").await;
    join(&mut client, "1").await;
    // By a service.
    adapter.join(&ann, room("2")).await.expect("joins");
    adapter.join(&ann, room("2")).await.expect("joins once");
    let left = client
        .request("leaveRoom", json!({"namespace": "chat", "roomId": "1"}))
        .await;
    assert_eq!(left, json!({"msg": "left"}));
    join(&mut client, "3").await;
    adapter.remove_room(&room("2")).await.expect("removed");
    client.socket.close(None).await.expect("closes");
    until("everything is told", || consumer.events().len() >= 8).await;
    let events = consumer.events();
    let kinds: Vec<_> = events.iter().map(kind).collect();
    assert_eq!(
        kinds,
        [
            "connected",
            "joined",
            "joined",
            "left",
            "joined",
            "left",
            "left",
            "disconnected"
        ]
    );
    let rooms: Vec<_> = events[1..7].iter().map(|event| &event["data"]["roomId"]).collect();
    assert_eq!(rooms, ["1", "2", "1", "3", "2", "3"]);
    assert!(
        events
            .iter()
            .all(|event| event["subject"] == "ann" && event["source"] == "/ws-node/edge")
    );
    let connected = &events[0]["data"];
    assert_eq!(
        (&connected["path"], &connected["params"]),
        (&json!("chat"), &json!({"id": "ann"}))
    );
    assert_eq!(connected["address"], "127.0.0.1");
    let gone = &events[7]["data"];
    assert_eq!(
        (&gone["code"], &gone["last"], &gone["connection"]),
        (&json!(1005), &json!(true), &connected["connection"])
    );
    assert_eq!(consumer.distinct().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_connection_of_a_client_is_marked_and_a_broken_one_has_code_1006() {
    let consumer = Consumer::start().await;
    let settings = ws_node::EdgeSettings {
        login_policy: ws_node::LoginPolicy::Many,
        ..watched(&url(&consumer.backend), &["disconnected", "left"], &json!({}))
    };
    let server = Server::alone(settings).await;
    let (mut first, second) = (server.client("ann").await.settled().await, server.client("ann").await);
    join(&mut first, "1").await;
    let close = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4001.into(),
        reason: "bye".into(),
    };
    first.socket.close(Some(close)).await.expect("closes");
    until("one is told", || consumer.events().len() == 1).await;
    drop(second);
    until("all is told", || consumer.events().len() == 3).await;
    let events = consumer.events();
    let data: Vec<_> = events.iter().map(|event| &event["data"]).collect();
    assert_eq!(
        (&data[0]["code"], &data[0]["reason"], &data[0]["last"]),
        (&json!(4001), &json!("bye"), &json!(false))
    );
    assert_eq!(kind(&events[1]), "left");
    assert_eq!((&data[2]["code"], &data[2]["last"]), (&json!(1006), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_told_only_what_it_names() {
    let (consumer, server) = watching(&["joined", "left"], &json!({"namespaces": ["chat"]})).await;
    let mut client = server.client("ann").await;
    let (adapter, ann) = (server.node.adapter(), ClientId::new("ann").expect("valid"));
    let other = Room::new("other", "1").expect("valid");
    adapter.join(&ann, other).await.expect("joins");
    join(&mut client, "1").await;
    client.socket.close(None).await.expect("closes");
    until("it is told", || consumer.events().len() >= 2).await;
    let kinds: Vec<_> = consumer.events().iter().map(|event| kind(event).to_owned()).collect();
    assert_eq!(kinds, ["joined", "left"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_of_a_service_is_told_the_same_as_server_events() {
    let bus = bus();
    let watch = watch(&json!({"service": "audit", "events": ALL}), &json!({}));
    let settings = ws_node::EdgeSettings {
        watch: vec![watch].into(),
        ..demo()
    };
    let (server, audit) = (
        Server::start("edge", &bus, settings).await,
        Other::start("audit-0", "audit", &bus).await,
    );
    let mut connected = audit.adapter.listen(CLIENT_CONNECTED);
    let mut joined = audit.adapter.listen(CLIENT_JOINED);
    let mut gone = audit.adapter.listen(CLIENT_DISCONNECTED);
    crate::common::sees(server.node.adapter(), 2).await;
    let mut client = server.client("ann").await;
    join(&mut client, "1").await;
    client.socket.close(None).await.expect("closes");
    let told = |event: Option<wsmesh_adapter::ServerEvent>| event.expect("told").payload;
    let context: ClientContext = told(connected.next().await).parse().expect("a context");
    let moved: ClientMoved = told(joined.next().await).parse().expect("reads");
    let gone: ClientDisconnected = told(gone.next().await).parse().expect("reads");
    assert_eq!(
        (context.client.as_str(), &*moved.room_id, gone.code),
        ("ann", "1", 1005)
    );
    assert_eq!(
        (&context.connection, &moved.connection),
        (&moved.connection, &gone.connection)
    );
    assert!(gone.last && gone.id != moved.id);
}
