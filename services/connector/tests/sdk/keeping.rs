//! What survives a connection: rooms, and events that wait for the next one.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};
use wsmesh_connector::{Client, EmitError, Lifecycle, Listener, RequestError, Room, State};

use crate::support::{Peer, Server, connected, soon, start};

async fn lost(lifecycle: &mut Listener<Lifecycle>) -> (Room, String) {
    loop {
        if let Some(Lifecycle::RoomLost { room, code, .. }) = soon("a room is lost", lifecycle.recv()).await {
            return (room, code);
        }
    }
}

async fn join(client: &Client, peer: &mut Peer, room: &str) {
    let (reply, ()) = tokio::join!(client.join_room(room), peer.reply(json!({"msg": "joined"})));
    assert_eq!(reply.expect("joined").as_str(), r#"{"msg":"joined"}"#);
}

fn asked_for(frame: &Value) -> &str {
    assert_eq!(frame["event"], "joinRoom");
    frame["payload"]["roomId"].as_str().expect("an id")
}

#[tokio::test]
async fn more_rooms_and_events_than_the_queue_holds_come_first_and_in_order() {
    let server = Server::start().await;
    let mut options = server.options();
    options.send_queue = 1;
    options.offline_queue = 100;
    let (client, mut peer, _task) = connected(&server, options).await;
    for n in 0..50 {
        join(&client, &mut peer, &n.to_string()).await;
    }
    let mut state = client.state();
    drop(peer);
    soon("lost", state.wait_for(|state| !state.is_open()))
        .await
        .expect("it lives");
    for n in 0..100 {
        client.emit("kept", &n).await.expect("kept");
    }
    assert!(matches!(client.emit("one more", &1).await, Err(EmitError::Full)));
    let mut peer = server.accept().await;
    soon("open", client.opened()).await.expect("open");
    client.emit("later", &1).await.expect("open");
    for n in 0..50 {
        assert_eq!(asked_for(&peer.json().await), n.to_string());
    }
    for n in 0..100 {
        assert_eq!(peer.json().await, json!({"event": "kept", "payload": n}));
    }
    assert_eq!(peer.json().await["event"], "later");
}

#[tokio::test]
async fn a_room_whose_request_is_not_answered_is_requested_again() {
    let server = Server::start().await;
    let mut options = server.options();
    options.request_timeout = Duration::from_millis(300);
    options.max_pending = 1;
    let (client, mut peer, _task) = connected(&server, options).await;
    let mut lifecycle = client.lifecycle();
    for room in ["good", "silent", "closed"] {
        join(&client, &mut peer, room).await;
    }
    drop(peer);
    let mut peer = server.accept().await;
    peer.reply(json!({"msg": "joined"})).await;
    assert_eq!(asked_for(&peer.json().await), "silent");
    peer.reply(json!({"error": "no", "errorCode": "NOT_ALLOWED"})).await;
    let (room, code) = lost(&mut lifecycle).await;
    assert_eq!((room, code.as_str()), (Room::new("closed"), "NOT_ALLOWED"));
    let again = peer.json().await;
    assert_eq!(asked_for(&again), "silent");
    let reply = json!({"payload": {"msg": "joined"}, "callbackId": again["callbackId"]});
    peer.say(reply).await;
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(asked_for(&peer.json().await), "good");
    assert_eq!(asked_for(&peer.json().await), "silent");
    soon("open", client.opened()).await.expect("open");
    client.emit("mark", &1).await.expect("open");
    assert_eq!(peer.json().await["event"], "mark", "the closed one is not asked for");
}

#[tokio::test]
async fn rooms_that_were_left_or_given_up_are_not_requested_again() {
    let server = Server::start().await;
    let mut options = server.options();
    options.offline_queue = 1;
    let (client, mut peer, _task) = connected(&server, options).await;
    join(&client, &mut peer, "left").await;
    join(&client, &mut peer, "stays").await;
    let (left, ()) = tokio::join!(client.leave_room("left"), peer.reply(json!({"msg": "left"})));
    left.expect("left");
    let given_up = tokio::time::timeout(Duration::from_millis(30), client.join_room("given up")).await;
    assert!(given_up.is_err());
    let late = peer.json().await["callbackId"].clone();
    peer.say(json!({"payload": {"msg": "joined"}, "callbackId": late}))
        .await;
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(asked_for(&peer.json().await), "stays");
    client.emit("mark", &1).await.expect("open or kept");
    assert_eq!(peer.json().await["event"], "mark");
}

#[tokio::test]
async fn closing_by_hand_forgets_rooms_and_kept_events_and_a_closed_client_keeps_none() {
    let server = Server::start().await;
    let mut options = server.options();
    options.offline_queue = 10;
    options.fast_reconnect_interval = Duration::from_secs(3600);
    options.reconnect_max_interval = Duration::from_secs(3600);
    let (client, mut peer, _task) = connected(&server, options).await;
    join(&client, &mut peer, "room").await;
    drop(peer);
    let mut state = client.state();
    let waits = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    drop(soon("it waits", waits).await.expect("it lives"));
    client.emit("kept", &1).await.expect("kept");
    soon("closed", client.close()).await;
    assert!(matches!(client.try_emit("closed", &1), Err(EmitError::NotOpen)));
    client.connect().await;
    client.try_emit("connecting", &1).expect("kept");
    let mut peer = server.accept().await;
    assert_eq!(peer.json().await["event"], "connecting");
}

#[tokio::test]
async fn joining_waits_for_a_connection_and_fails_when_there_is_none() {
    let server = Server::start().await;
    let (client, _task) = start(server.options());
    let joining = async {
        let mut peer = server.accept().await;
        peer.reply(json!({"error": "full", "errorCode": "OVERLOADED"})).await;
        peer
    };
    let (refused, mut peer) = tokio::join!(client.join_room(Room::new(7).in_namespace("chat")), joining);
    assert_eq!(refused.expect_err("refused").code(), "OVERLOADED");
    let never = tokio::join!(client.join_room("never").into_future(), async {
        assert_eq!(asked_for(&peer.json().await), "never");
        peer.close(4010, "out").await;
    });
    assert!(matches!(never.0, Err(RequestError::NotOpen)), "{never:?}");
    client.connect().await;
    let mut peer = server.accept().await;
    soon("open", client.opened()).await.expect("open");
    client.emit("mark", &1).await.expect("open");
    assert_eq!(peer.json().await["event"], "mark", "neither room is asked for");
}

#[tokio::test]
async fn a_message_for_a_room_names_the_room_as_a_join_does() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let rooms = [
        (Room::from("1000"), json!({"roomId": "1000", "data": {"text": "hi"}})),
        (
            Room::new(7).in_namespace("chat"),
            json!({"roomId": 7, "namespace": "chat", "data": {"text": "hi"}}),
        ),
    ];
    for (room, expected) in rooms {
        let published = client.publish(room, &json!({"text": "hi"})).into_future();
        let asked = async {
            let frame = peer.json().await;
            assert_eq!((&frame["event"], &frame["payload"]), (&json!("publish"), &expected));
            let reply = json!({"payload": {"ok": true}, "callbackId": frame["callbackId"]});
            peer.say(reply).await;
        };
        let (reply, ()) = tokio::join!(published, asked);
        assert_eq!(reply.expect("published").as_str(), r#"{"ok":true}"#);
    }
}
