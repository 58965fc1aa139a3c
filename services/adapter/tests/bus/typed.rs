//! What the typed helpers for services promise, on both buses: pushes, commands about clients, and refusals.

use std::collections::HashMap;

use serde_json::{Value, json};
use wsmesh_adapter::{
    Adapter, CallError, ClientOrderError, Closing, Dismissal, Payload, Presence, Refusal, RequestOptions, Room, Target,
};

use crate::support::ground::{Ground, suite};
use crate::support::*;

suite![
    a_pushed_value_reaches_a_client_a_room_and_everyone,
    a_client_is_kicked_wherever_it_is_connected,
    a_client_joins_and_leaves_a_room_on_command_of_another_server,
    a_client_with_several_homes_is_kicked_from_each,
    a_refusal_is_a_typed_error_and_travels_as_the_payload_that_ws_nodes_pass_on,
    a_handler_of_requests_replies_with_what_it_returns,
    a_reply_that_cannot_be_read_and_a_server_that_does_not_answer_are_typed_errors,
];

/// Answers commands about clients as a ws-node does.
pub(crate) fn play_ws_node(adapter: &Adapter) {
    let node = adapter.clone();
    adapter.on_request("wsmesh.kick", move |event| {
        let node = node.clone();
        async move {
            let order: Value = event.payload.parse().expect("JSON");
            let dismissal = Dismissal {
                code: u16::try_from(order["code"].as_u64().expect("a number")).expect("a close code"),
                reason: order["reason"].as_str().expect("text").into(),
            };
            let kicked = node
                .dismiss(&client(order["client"].as_str().expect("text")), dismissal)
                .await
                .expect("the code can be sent");
            Ok::<_, Refusal>(json!({ "kicked": kicked }))
        }
    });
    for name in ["wsmesh.clientJoin", "wsmesh.clientLeave"] {
        let node = adapter.clone();
        adapter.on_request(name, move |event| {
            let node = node.clone();
            async move {
                let order: HashMap<String, String> = event.payload.parse().expect("a map of texts");
                let room = Room::new(&*order["namespace"], &*order["room"]).expect("a valid room");
                let done = if name == "wsmesh.clientJoin" {
                    node.join(&client(&order["client"]), room).await
                } else {
                    node.leave(&client(&order["client"]), &room).await.map(drop)
                };
                let done = done.map(|()| json!({"ok": true}));
                done.map_err(|error| Refusal::new("UNAVAILABLE", error.to_string()))
            }
        });
    }
}

async fn a_pushed_value_reaches_a_client_a_room_and_everyone(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let offer = json!({"price": 42});
    let pushed = one.adapter.push(&client("bob"), "offer", &offer).await;
    assert_eq!(pushed.expect("sent"), Presence::Elsewhere);
    assert_eq!(bob.frame().await, r#"{"event":"offer","payload":{"price":42}}"#);
    let pushed = one.adapter.push(&client("nobody"), "offer", &offer).await;
    assert_eq!(pushed.expect("sent"), Presence::Offline);
    let pushed = one.adapter.push_to_room(&room("1"), "room", &"hello").await;
    pushed.expect("sent");
    assert_eq!(bob.frame().await, r#"{"event":"room","payload":"hello"}"#);
    one.adapter.push_to_everyone("all", &()).await.expect("sent");
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.frame().await, r#"{"event":"all","payload":null}"#);
    }
    let not_json = HashMap::from([((1, 2), 3)]);
    let refused = one.adapter.push(&client("bob"), "offer", &not_json).await;
    assert!(refused.is_err(), "a map with such keys cannot be JSON");
}

async fn a_client_is_kicked_wherever_it_is_connected(ground: Ground) {
    let (one, two) = ground.pair().await;
    play_ws_node(&two.adapter);
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    for (id, seen) in [("ann", &mut ann), ("bob", &mut bob)] {
        assert!(one.adapter.kick(&client(id), "banned").await.expect("answered"), "{id}");
        let dismissal = Dismissal {
            code: 4010,
            reason: "banned".into(),
        };
        assert_eq!(seen.next().await, Seen::Closed(Closing::Dismissed(dismissal)), "{id}");
    }
    assert!(!one.adapter.kick(&client("nobody"), "banned").await.expect("answered"));
}

async fn a_client_with_several_homes_is_kicked_from_each(ground: Ground) {
    let of = |name: &str| wsmesh_adapter::Options {
        several_homes: true,
        ..options(name, "ws-node", ground.bus.clone())
    };
    let (one, two) = (Server::ready(of("one")).await, Server::ready(of("two")).await);
    acquainted(&[&one, &two]).await;
    play_ws_node(&two.adapter);
    let (mut here, mut there) = (one.client("ann").await, two.client("ann").await);
    assert!(one.adapter.kick(&client("ann"), "banned").await.expect("answered"));
    for connection in [&mut here, &mut there] {
        assert!(matches!(connection.next().await, Seen::Closed(_)));
    }
}

async fn a_client_joins_and_leaves_a_room_on_command_of_another_server(ground: Ground) {
    let (one, two) = ground.pair().await;
    play_ws_node(&two.adapter);
    let (_ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    for id in ["ann", "bob"] {
        let joined = one.adapter.join_client(&client(id), &room("1")).await;
        assert!(joined.expect("answered"), "{id}");
    }
    assert_eq!(one.adapter.room_members(&room("1")), [client("ann")]);
    one.adapter.push_to_room(&room("1"), "room", &1).await.expect("sent");
    assert_eq!(bob.frame().await, r#"{"event":"room","payload":1}"#);
    for id in ["ann", "bob"] {
        let left = one.adapter.leave_client(&client(id), &room("1")).await;
        assert!(left.expect("answered"), "{id}");
    }
    assert!(one.adapter.room_members(&room("1")).is_empty() && two.adapter.room_members(&room("1")).is_empty());
    let nobody = client("nobody");
    assert!(!one.adapter.join_client(&nobody, &room("1")).await.expect("answered"));
    assert!(!one.adapter.leave_client(&nobody, &room("1")).await.expect("answered"));
}

async fn a_refusal_is_a_typed_error_and_travels_as_the_payload_that_ws_nodes_pass_on(ground: Ground) {
    let (one, two) = ground.pair().await;
    two.adapter.on("bid", |event| async move {
        let _ = event.refuse("NOT_ALLOWED", "the auction is over").await;
    });
    let target = || Target::Server(server("two"));
    let bid = one
        .adapter
        .call_typed::<_, Value>(target(), "bid", &7, RequestOptions::default());
    match bid.await {
        Err(CallError::Refused { server: name, refusal }) => {
            assert_eq!(name, server("two"));
            assert_eq!(refusal, Refusal::new("NOT_ALLOWED", "the auction is over"));
        }
        other => panic!("not refused: {other:?}"),
    }
    let reply = one
        .adapter
        .call(target(), "bid", Payload::null(), RequestOptions::default())
        .await
        .expect("a refusal is a reply");
    assert_eq!(
        reply.payload.to_json().expect("JSON"),
        r#"{"error":"the auction is over","errorCode":"NOT_ALLOWED"}"#
    );
    // A ws-node that refuses a command.
    two.adapter.on("wsmesh.clientJoin", |event| async move {
        let _ = event.refuse("UNAVAILABLE", "not now").await;
    });
    let _bob = two.client("bob").await;
    let joined = one.adapter.join_client(&client("bob"), &room("1")).await;
    assert!(
        matches!(&joined, Err(ClientOrderError::Call(CallError::Refused { refusal, .. })) if refusal.code == "UNAVAILABLE"),
        "{joined:?}"
    );
}

async fn a_handler_of_requests_replies_with_what_it_returns(ground: Ground) {
    let (one, two) = ground.pair().await;
    two.adapter.on_request("double", |event| async move {
        let number: u32 = event
            .payload
            .parse()
            .map_err(|_| Refusal::new("BAD_PAYLOAD", "send a number"))?;
        Ok::<_, Refusal>(number * 2)
    });
    two.adapter.on("greet", |event| async move {
        let _ = event.reply_with(&json!({"msg": "hello"})).await;
    });
    let target = || Target::Server(server("two"));
    let doubled: u32 = one
        .adapter
        .call_typed(target(), "double", &21, RequestOptions::default())
        .await
        .expect("answered");
    assert_eq!(doubled, 42);
    let refused = one
        .adapter
        .call_typed::<_, u32>(target(), "double", "many", RequestOptions::default())
        .await;
    assert!(matches!(refused, Err(CallError::Refused { .. })), "{refused:?}");
    let greeting: Value = one
        .adapter
        .call_typed(target(), "greet", &(), RequestOptions::default())
        .await
        .expect("answered");
    assert_eq!(greeting, json!({"msg": "hello"}));
}

async fn a_reply_that_cannot_be_read_and_a_server_that_does_not_answer_are_typed_errors(ground: Ground) {
    let (one, two) = ground.pair().await;
    two.adapter.on_request("text", async |_| Ok::<_, Refusal>("seven"));
    let target = || Target::Server(server("two"));
    let reply = one
        .adapter
        .call_typed::<_, u32>(target(), "text", &(), RequestOptions::default())
        .await;
    assert!(matches!(reply, Err(CallError::Unreadable { .. })), "{reply:?}");
    let unhandled = one
        .adapter
        .call_typed::<_, u32>(target(), "nothing", &(), RequestOptions::default())
        .await;
    assert!(matches!(unhandled, Err(CallError::Request(_))), "{unhandled:?}");
    // The server that has the client does not answer commands: it is not a ws-node.
    let _bob = two.client("bob").await;
    let kicked = one.adapter.kick(&client("bob"), "banned").await;
    assert!(
        matches!(kicked, Err(ClientOrderError::Call(CallError::Request(_)))),
        "{kicked:?}"
    );
}
