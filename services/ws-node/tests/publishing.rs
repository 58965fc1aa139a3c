//! Clients that publish to rooms without a service: who may, how much, and what the members get, on two ws-nodes.

mod common;

use common::{Client, Received, Server, bus, demo, sees};
use serde_json::{Value, json};
use ws_node::{EdgeSettings, NamespaceSettings};
use wsmesh_adapter::{ClientId, MemoryBus, Namespace, Room};

const OK: &str = r#"{"ok":true}"#;

fn namespace(name: &str) -> NamespaceSettings {
    NamespaceSettings {
        client_publish: true,
        ..NamespaceSettings::new(Namespace::new(name).expect("valid"))
    }
}

/// Clients may join rooms of "chat" and "notes".
fn settings(namespaces: Vec<NamespaceSettings>) -> EdgeSettings {
    EdgeSettings {
        client_rooms: ["chat", "notes"]
            .map(|name| Namespace::new(name).expect("valid"))
            .into(),
        namespaces: namespaces.into(),
        ..demo()
    }
}

async fn two(bus: &MemoryBus, namespaces: Vec<NamespaceSettings>) -> [Server; 2] {
    let first = Server::start("edge-0", bus, settings(namespaces.clone())).await;
    let second = Server::start("edge-1", bus, settings(namespaces)).await;
    sees(first.node.adapter(), 2).await;
    sees(second.node.adapter(), 2).await;
    [first, second]
}

/// A client that is in a room.
async fn member(server: &Server, id: &str, namespace: &str, room: &str) -> Client {
    let mut client = server.client(id).await.settled().await;
    let joined = client
        .request("joinRoom", json!({"namespace": namespace, "roomId": room}))
        .await;
    assert_eq!(joined, json!({"msg": "joined"}));
    client
}

async fn publish(client: &mut Client, namespace: &str, room: &str, data: Value) -> Value {
    let message = json!({"namespace": namespace, "roomId": room, "data": data});
    client.request("publish", message).await
}

fn pushed(from: &str, data: Value) -> Value {
    let payload = json!({"namespace": "chat", "roomId": "1", "from": from, "data": data});
    json!({"event": "roomMessage", "payload": payload})
}

fn code(reply: &Value) -> &str {
    reply["errorCode"].as_str().unwrap_or("none")
}

/// The next push; replies are dropped.
async fn push(client: &mut Client) -> Value {
    loop {
        let frame = client.frame().await;
        if frame["event"].is_string() {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_every_member_once_on_every_server_and_also_its_sender() {
    let bus = bus();
    let [one, two] = two(&bus, vec![namespace("chat")]).await;
    let mut ann = member(&one, "ann", "chat", "1").await;
    let mut bob = member(&two, "bob", "chat", "1").await;
    let mut elsewhere = member(&two, "eve", "chat", "2").await;
    let data = json!({"text": "hi", "from": "the queen"});
    ann.emit("publish", json!({"roomId": 1, "data": data})).await;
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.frame().await, pushed("ann", data.clone()));
    }
    assert_eq!(publish(&mut bob, "chat", "1", json!(null)).await.to_string(), OK);
    assert_eq!(push(&mut ann).await, pushed("bob", json!(null)));
    assert_eq!(elsewhere.request("echo", json!(1)).await, json!({"ok": true}));
    assert_eq!(counter(&one, "wsmesh_client_messages_published_total"), 1);
}

fn counter(server: &Server, name: &str) -> u64 {
    let families = server.registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.map_or(&[][..], |family| family.get_metric());
    metrics
        .iter()
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_echo_no_connection_of_the_sender_gets_it_on_any_server() {
    let bus = bus();
    let quiet = NamespaceSettings {
        echo_to_sender: false,
        ..namespace("chat")
    };
    let many = |name| {
        let settings = EdgeSettings {
            login_policy: ws_node::LoginPolicy::Many,
            ..settings(vec![quiet.clone()])
        };
        Server::start(name, &bus, settings)
    };
    let (one, two) = (many("edge-0").await, many("edge-1").await);
    sees(one.node.adapter(), 2).await;
    let mut ann = member(&one, "ann", "chat", "1").await;
    let mut here = member(&one, "ann", "chat", "1").await;
    let mut there = member(&two, "ann", "chat", "1").await;
    let mut bob = member(&two, "bob", "chat", "1").await;
    assert_eq!(publish(&mut ann, "chat", "1", json!("quiet")).await.to_string(), OK);
    assert_eq!(push(&mut bob).await, pushed("ann", json!("quiet")));
    assert_eq!(publish(&mut bob, "chat", "1", json!("after")).await.to_string(), OK);
    // What they get first is the message of bob: that of ann did not come.
    for connection in [&mut ann, &mut here, &mut there] {
        assert_eq!(push(connection).await, pushed("bob", json!("after")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_of_a_room_in_an_open_namespace_may_publish_to_it() {
    let bus = bus();
    let closed = NamespaceSettings::new(Namespace::new("notes").expect("valid"));
    let [one, two] = two(&bus, vec![namespace("chat"), closed]).await;
    let mut ann = member(&one, "ann", "notes", "1").await;
    for (namespace, room, why) in [
        ("chat", "1", "join it first"),
        ("notes", "1", "may not publish"),
        ("unknown", "1", "may not publish"),
    ] {
        let refused = publish(&mut ann, namespace, room, json!("x")).await;
        assert_eq!(code(&refused), "NOT_ALLOWED", "{namespace}");
        assert!(refused["error"].as_str().expect("a text").contains(why), "{refused}");
    }
    // A member of the same room on another server is not one here.
    let mut bob = member(&two, "bob", "chat", "1").await;
    assert_eq!(code(&publish(&mut ann, "chat", "1", json!("x")).await), "NOT_ALLOWED");
    // A service may let it in, and a client that leaves may not publish any more.
    let (adapter, id) = (one.node.adapter(), ClientId::new("ann").expect("valid"));
    adapter
        .join(&id, Room::new("chat", "1").expect("valid"))
        .await
        .expect("here");
    assert_eq!(publish(&mut ann, "chat", "1", json!("x")).await.to_string(), OK);
    assert_eq!(bob.frame().await, pushed("ann", json!("x")));
    ann.request("leaveRoom", json!({"roomId": "1"})).await;
    assert_eq!(code(&publish(&mut ann, "chat", "1", json!("x")).await), "NOT_ALLOWED");
    assert_eq!(counter(&one, "wsmesh_client_denied_total"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_big_or_not_a_message_is_refused_and_reaches_nobody() {
    let bus = bus();
    let small = NamespaceSettings {
        publish_bytes: 10,
        ..namespace("chat")
    };
    let [one, two] = two(&bus, vec![small]).await;
    let mut ann = member(&one, "ann", "chat", "1").await;
    let mut bob = member(&two, "bob", "chat", "1").await;
    let big = publish(&mut ann, "chat", "1", json!("nine more")).await;
    let text = json!("data has 11 bytes: at most 10 may be published here");
    assert_eq!((code(&big), &big["error"]), ("TOO_BIG", &text));
    for bad in [
        json!(null),
        json!({"roomId": "1"}),
        json!({"roomId": "", "data": 1}),
        json!({"data": 1}),
    ] {
        assert_eq!(code(&ann.request("publish", bad.clone()).await), "BAD_PAYLOAD", "{bad}");
    }
    assert_eq!(publish(&mut ann, "chat", "1", json!("12345678")).await.to_string(), OK);
    assert_eq!(push(&mut bob).await, pushed("ann", json!("12345678")));
    assert_eq!(counter(&one, "wsmesh_client_limits_reached_total"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_publishes_too_fast_is_refused_in_this_namespace_and_others_are_not() {
    const MESSAGES: u64 = 50;
    let bus = bus();
    let slow = NamespaceSettings {
        publish_per_second: 1,
        publish_burst: 2,
        ..namespace("chat")
    };
    let [one, two] = two(&bus, vec![slow, namespace("notes")]).await;
    let mut ann = member(&one, "ann", "chat", "1").await;
    let mut bob = member(&two, "bob", "chat", "1").await;
    for number in 0..MESSAGES {
        let payload = json!({"roomId": "1", "data": number});
        ann.send(json!({"event": "publish", "payload": payload, "callbackId": number}).to_string())
            .await;
    }
    let (mut answered, mut limited) = (0, 0);
    while answered < MESSAGES {
        let frame = ann.frame().await;
        if frame["callbackId"].is_u64() {
            answered += 1;
            limited += u64::from(code(&frame["payload"]) == "RATE_LIMITED");
        }
    }
    // More than two pass if this takes long.
    assert!((1..=MESSAGES - 2).contains(&limited), "{limited} refused");
    assert_eq!(counter(&one, "wsmesh_client_limits_reached_total"), limited);
    ann.request("joinRoom", json!({"namespace": "notes", "roomId": "1"}))
        .await;
    assert_eq!(publish(&mut ann, "notes", "1", json!("1")).await.to_string(), OK);
    for number in 0..2 {
        assert_eq!(push(&mut bob).await, pushed("ann", json!(number)));
    }
    assert_eq!(publish(&mut bob, "chat", "1", json!("bob")).await.to_string(), OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_sender_arrive_in_the_order_in_which_it_sent_them() {
    const MESSAGES: u32 = 300;
    let bus = bus();
    let fast = NamespaceSettings {
        publish_per_second: 1_000_000,
        publish_burst: 1_000_000,
        ..namespace("chat")
    };
    let [one, two] = two(&bus, vec![fast]).await;
    let mut ann = member(&one, "ann", "chat", "1").await;
    let mut bob = member(&two, "bob", "chat", "1").await;
    for number in 0..MESSAGES {
        // Every third is a request: its reply must not change the order.
        let mut frame = json!({"event": "publish", "payload": {"roomId": "1", "data": number}});
        if number % 3 == 0 {
            frame["callbackId"] = json!(number);
        }
        ann.send(frame.to_string()).await;
    }
    for client in [&mut ann, &mut bob] {
        for number in 0..MESSAGES {
            assert_eq!(push(client).await, pushed("ann", json!(number)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_joins_and_publishes_in_one_go_is_a_member_when_its_message_is_read() {
    let server = Server::alone(settings(vec![namespace("chat")])).await;
    let mut ann = server.client("ann").await.settled().await;
    ann.emit("joinRoom", json!({"roomId": "1"})).await;
    ann.emit("publish", json!({"roomId": "1", "data": "at once"})).await;
    assert_eq!(ann.next().await, Received::Frame(pushed("ann", json!("at once"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_open_namespace_and_without_tokens_the_event_does_not_exist() {
    let server = Server::alone(settings(vec![NamespaceSettings::new(
        Namespace::new("chat").expect("valid"),
    )]))
    .await;
    let mut ann = server.client("ann").await;
    assert_eq!(code(&publish(&mut ann, "chat", "1", json!(1)).await), "UNKNOWN_EVENT");
}
