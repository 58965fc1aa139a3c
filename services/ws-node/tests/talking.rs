//! Clients on two ws-nodes talk to each other and to a service, in the demo profile.

mod common;

use common::{Client, Other, Received, Server, bus, demo, sees};
use serde_json::json;
use ws_node::EdgeSettings;
use wsmesh_adapter::{Payload, ServerEvent, Target};
use wsmesh_protocol::forward::{self, ClientClosed, Forwarded};

/// One with several shards, and one with a single shard, whose thread runs its adapter, too.
async fn two_servers() -> (Server, Server) {
    let bus = bus();
    let single = EdgeSettings { shards: 1, ..demo() };
    let (one, two) = tokio::join!(
        Server::start("edge-1", &bus, demo()),
        Server::start("edge-2", &bus, single)
    );
    sees(one.node.adapter(), 2).await;
    sees(two.node.adapter(), 2).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_frames_of_the_javascript_packages_client_are_answered_byte_for_byte() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/recorded.json")).expect("JSON");
    let recorded = vectors["client"].as_array().expect("a list");
    let server = Server::alone(demo()).await;
    let path = recorded[0]["text"].as_str().expect("a path");
    let mut client = Client::connect(&format!("ws://{}{path}", server.address))
        .await
        .expect("upgrades");
    for pair in recorded.windows(2) {
        let (sent, heard) = (&pair[0], &pair[1]);
        if sent["from"] == "client" && heard["from"] == "server" {
            client.send(sent["text"].as_str().expect("text")).await;
            let text = heard["text"].as_str().expect("text").to_owned();
            let answer = match client.next().await {
                Received::Frame(_) if text.is_empty() => panic!("a frame in place of the heartbeat"),
                Received::Frame(frame) => frame.to_string(),
                Received::Text(text) => text,
                Received::Closed(why) => panic!("closed: {why:?}"),
            };
            let expected = serde_json::from_str::<serde_json::Value>(&text).map_or(text, |value| value.to_string());
            assert_eq!(answer, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_rooms_with_the_longest_ids_are_reached_across_servers() {
    let (one, two) = two_servers().await;
    let long = |begin: &str| format!("{begin}{}", "x".repeat(255 - begin.len()));
    let mut ann = one.client(&long("f:2f0d5a1c:ann-")).await.settled().await;
    let bob_id = long("f:2f0d5a1c:bob-");
    let mut bob = two.client(&bob_id).await.settled().await;
    let room = long("dm:4b59-9d5c:8f8f-6f0d:");
    for client in [&mut ann, &mut bob] {
        assert_eq!(
            client.request("joinRoom", json!({"roomId": room})).await,
            json!({"msg": "joined"})
        );
    }
    for command in [
        json!({"action": "toPlayer", "toPlayerId": bob_id, "msg": 1}),
        json!({"action": "toRoom", "roomId": room, "msg": 2}),
    ] {
        assert_eq!(ann.request("command", command.clone()).await["msg"], "sent");
        assert_eq!(bob.frame().await["payload"]["msg"], command["msg"]);
    }
    let refused = ann.request("joinRoom", json!({"roomId": format!("{room}x")})).await;
    assert_eq!(refused["error"], "room id has 256 bytes: at most 255 are allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_exactly_the_right_clients_on_both_servers() {
    let (one, two) = two_servers().await;
    let mut ann = one.client("ann").await.settled().await;
    let mut bob = two.client("bob").await.settled().await;
    let mut cid = two.client("7").await.settled().await;

    let broadcast = json!({"action": "broadcast", "msg": "all"});
    assert_eq!(ann.request("command", broadcast.clone()).await, json!({"msg": "sent"}));
    for client in [&mut bob, &mut cid] {
        assert_eq!(client.frame().await, json!({"event": "say", "payload": broadcast}));
    }

    for room_member in [&mut ann, &mut bob] {
        assert_eq!(
            room_member.request("joinRoom", json!({"roomId": "1000"})).await,
            json!({"msg": "joined"})
        );
    }
    cid.emit("command", json!({"action": "toRoom", "roomId": 1000, "msg": [1]}))
        .await;
    for member in [&mut ann, &mut bob] {
        assert_eq!(
            member.frame().await,
            json!({"event": "say", "payload": {"action": "toRoom", "msg": [1]}})
        );
    }

    assert_eq!(
        bob.request("leaveRoom", json!({"roomId": "1000"})).await,
        json!({"msg": "left"})
    );
    ann.emit(
        "command",
        json!({"action": "toRoom", "roomId": "1000", "msg": "only ann"}),
    )
    .await;
    assert_eq!(ann.frame().await["payload"]["msg"], "only ann");

    ann.emit(
        "command",
        json!({"action": "toPlayers", "toPlayerIds": ["bob", 7], "msg": 1}),
    )
    .await;
    assert_eq!(bob.frame().await["payload"], json!({"action": "toPlayers", "msg": 1}));
    assert_eq!(cid.frame().await["payload"], json!({"action": "toPlayers", "msg": 1}));

    let reply = ann
        .request(
            "command",
            json!({"action": "toPlayer", "toPlayerId": "nobody", "msg": 1}),
        )
        .await;
    assert_eq!(reply, json!({"msg": "sent", "offline": ["nobody"]}));
    ann.settled().await;
    bob.settled().await;
    cid.settled().await;
}

/// A raw JSON value can only be read from JSON, so the payload is converted to JSON first.
fn forwarded(event: &ServerEvent) -> Forwarded {
    let json = event.payload.to_json().expect("can be JSON");
    serde_json::from_slice(&json).expect("as agreed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_forwards_an_event_and_its_reply_and_the_service_is_told_that_the_client_left() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    let mut closed = logic.adapter.listen(forward::CLIENT_CLOSED);
    let mut inputs = logic.adapter.listen("matchInput");
    logic.adapter.on("gamePing", |event| async move {
        let asked = forwarded(&event);
        let reply = json!({"pong": asked.client, "via": asked.server, "of": asked.payload});
        event.reply(Payload::new(&reply).expect("JSON")).await.expect("sends");
    });
    sees(server.node.adapter(), 2).await;
    let mut client = server.client("ann").await.settled().await;
    let reply = client.request("gamePing", json!({"n": [1, null]})).await;
    assert_eq!(reply, json!({"pong": "ann", "via": "edge", "of": {"n": [1, null]}}));

    let unhandled = client.request("matchRequest", json!({})).await;
    assert_eq!(unhandled["errorCode"], "UNKNOWN_EVENT");

    client.emit("matchInput", json!({"x": 1})).await;
    let input = tokio::time::timeout(common::PATIENCE, inputs.next())
        .await
        .expect("comes")
        .expect("listens");
    assert!(!input.is_request());
    assert_eq!(forwarded(&input).payload.get(), r#"{"x":1}"#);

    client.socket.close(None).await.expect("closes");
    let told = tokio::time::timeout(common::PATIENCE, closed.next())
        .await
        .expect("comes")
        .expect("listens");
    let told: ClientClosed = told.payload.parse().expect("as agreed");
    assert_eq!((told.client.as_str(), told.server.as_str()), ("ann", "edge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_puts_clients_in_rooms_and_closes_them() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(&logic.adapter, 2).await;
    let mut client = server.client("ann").await.settled().await;
    let ask = async |event: &str, payload: serde_json::Value| {
        let target = Target::Server(server.node.adapter().name().clone());
        let payload = Payload::new(&payload).expect("JSON");
        let reply = logic
            .adapter
            .call(target, event, payload, Default::default())
            .await
            .expect("answers");
        reply.payload.parse::<serde_json::Value>().expect("JSON")
    };
    let room = json!({"client": "ann", "namespace": "match", "room": "1"});
    assert_eq!(ask(forward::CLIENT_JOIN, room.clone()).await, json!({"ok": true}));
    let address = wsmesh_adapter::Room::new("match", "1").expect("valid");
    let frame = wsmesh_adapter::Frame::new(r#"{"event":"go","payload":1}"#);
    logic
        .adapter
        .to_room(&address, frame, Default::default())
        .await
        .expect("sends");
    assert_eq!(client.frame().await, json!({"event": "go", "payload": 1}));
    assert_eq!(ask(forward::CLIENT_LEAVE, room).await, json!({"ok": true}));
    assert_eq!(server.node.adapter().room_members(&address), []);

    let nobody = ask(
        forward::CLIENT_JOIN,
        json!({"client": "nobody", "namespace": "match", "room": "1"}),
    )
    .await;
    assert_eq!(
        nobody["errorCode"], "NOT_FOUND",
        "it may have left meanwhile: not a failure"
    );
    let bad_code = ask(forward::KICK, json!({"client": "ann", "code": 1005, "reason": ""})).await;
    assert_eq!(bad_code["errorCode"], "BAD_PAYLOAD");
    assert_eq!(
        ask(forward::KICK, json!({"client": "bob", "code": 4010, "reason": "x"})).await,
        json!({"kicked": false})
    );
    assert_eq!(
        ask(forward::KICK, json!({"client": "ann", "code": 4010, "reason": "x"})).await,
        json!({"kicked": true})
    );
    assert_eq!(client.next().await, Received::Closed(Some((4010, "x".into()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_login_of_an_id_replaces_the_older() {
    let server = Server::alone(demo()).await;
    let mut older = server.client("ann").await.settled().await;
    let mut newer = server.client("ann").await.settled().await;
    assert_eq!(older.close_code().await, Some(4012));
    assert_eq!(newer.request("echo", json!(1)).await, json!({"ok": true}));
}
