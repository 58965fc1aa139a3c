//! Clients that the connect hook lets in: who they are then, and what they may do.

use std::time::Duration;

use serde_json::{Value, json};
use ws_node::mint_token;
use wsmesh_adapter::{ClientId, Frame, Room, RoomOptions};

use crate::common::PATIENCE;
use crate::door::{answering, counted, door, hook, key, knock, with_hook, with_tokens};

fn id(text: &str) -> ClientId {
    ClientId::new(text).expect("valid")
}

fn room(namespace: &str, id: &str) -> Room {
    Room::new(namespace, id).expect("valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_who_the_hook_says_and_is_in_its_rooms_when_the_upgrade_is_answered() {
    let backend = answering(
        200,
        json!({"client": "888", "joinRooms": ["user:888", "chat:lobby"], "data": {"team": "red"}}),
    )
    .await;
    let shown = hook(&backend, json!({"headers": ["authorization", "accept-language"]}));
    let server = door(with_hook(shown)).await;
    let headers = [
        ("authorization", "Bearer own"),
        ("accept-language", "en"),
        ("x-secret", "no"),
        ("ce-type", "no"),
    ];
    let mut client = knock(&server, "id=1&token=own", &headers).await.expect("let in");
    let adapter = server.node.adapter();
    assert!(adapter.is_here(&id("888")) && !adapter.is_here(&id("1")));
    assert_eq!(adapter.room_members(&room("user", "888")), [id("888")]);
    let frame = Frame::new(r#"{"event":"hello"}"#);
    let sent = adapter
        .to_room(&room("chat", "lobby"), frame, RoomOptions::default())
        .await;
    sent.expect("sends");
    assert_eq!(client.frame().await, json!({"event": "hello"}));
    let contexts = adapter.client(&id("888")).await.expect("known");
    assert_eq!(contexts[0].data.as_ref().expect("some").get(), r#"{"team":"red"}"#);
    assert!(
        !contexts[0].params.contains_key("token"),
        "a credential is not part of the context"
    );

    let requests = backend.requests();
    assert_eq!(
        (requests.len(), requests[0].header("ce-type")),
        (1, "io.wsmesh.client.connect")
    );
    let question: Value = serde_json::from_str(&requests[0].body).expect("JSON");
    assert_eq!(
        question,
        json!({
            "path": "chat", "params": {"id": "1", "token": "own"},
            "headers": {"authorization": "Bearer own", "accept-language": "en"},
            "address": "127.0.0.1", "server": "edge",
        })
    );
    assert_eq!(counted(&server, "wsmesh_connect_hook_total", "allowed"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_says_what_a_client_may_do_and_how_long_it_may_stay() {
    let answer = json!({"client": "888", "rooms": ["chat:lobby"], "events": ["nothing"], "expiresInMs": 700});
    let backend = answering(200, answer).await;
    let server = door(with_hook(hook(&backend, json!({})))).await;
    let mut client = knock(&server, "", &[]).await.expect("let in");
    let join = |room: &str| json!({"namespace": "chat", "roomId": room});
    assert_eq!(
        client.request("joinRoom", join("lobby")).await,
        json!({"msg": "joined"})
    );
    assert_eq!(
        client.request("joinRoom", join("other")).await["errorCode"],
        "NOT_ALLOWED"
    );
    assert_eq!(
        client.request("gamePing", json!(null)).await["errorCode"],
        "NOT_ALLOWED"
    );
    assert_eq!(
        client.request("refreshToken", json!({"token": "x"})).await["errorCode"],
        "NOT_ALLOWED"
    );
    let closed = tokio::time::timeout(PATIENCE, client.close_code()).await;
    assert_eq!(closed.expect("in time"), Some(4011));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_is_asked_afterwards_restricts_what_a_token_allows_also_a_later_one() {
    let backend = answering(200, json!({"events": ["gamePing"], "data": 7})).await;
    let server = door(with_tokens(hook(&backend, json!({"mode": "after"})))).await;
    let token = |ttl| mint_token(&key(), "888", Duration::from_secs(ttl)).expect("a token");
    let mut client = knock(&server, &format!("token={}", token(60)), &[])
        .await
        .expect("let in");
    let question: Value = serde_json::from_str(&backend.requests()[0].body).expect("JSON");
    assert_eq!(
        (&question["client"], &question["claims"]["sub"]),
        (&json!("888"), &json!("888"))
    );
    assert_eq!(question["params"], json!({}), "the token is not shown");
    assert_eq!(
        client.request("matchRequest", json!({})).await["errorCode"],
        "NOT_ALLOWED"
    );
    let refreshed = client.request("refreshToken", json!({"token": token(600)})).await;
    assert_eq!(refreshed["ok"], json!(true), "{refreshed}");
    assert_eq!(
        client.request("matchRequest", json!({})).await["errorCode"],
        "NOT_ALLOWED"
    );
    let contexts = server.node.adapter().client(&id("888")).await.expect("known");
    assert_eq!(contexts[0].data.as_ref().expect("some").get(), "7");
    assert!(contexts[0].claims.is_some());
    assert_eq!(knock(&server, "token=wrong", &[]).await.err(), Some((401, None)));
    assert_eq!(backend.requests().len(), 1, "it is asked about valid tokens only");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_demo_profile_the_hook_may_check_the_id_that_a_client_claims() {
    let backend = answering(200, json!({"client": "ann"})).await;
    let settings = ws_node::EdgeSettings {
        connect: hook(&backend, json!({"mode": "after"})),
        ..crate::common::demo()
    };
    let server = door(settings).await;
    assert!(knock(&server, "id=ann", &[]).await.is_ok());
    assert!(matches!(knock(&server, "id=bob", &[]).await, Err((503, Some(_)))));
}
