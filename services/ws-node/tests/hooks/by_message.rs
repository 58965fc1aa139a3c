//! The connect hook and clients that show their token in their first message.

use std::time::Duration;

use serde_json::{Value, json};
use ws_node::{AuthSettings, EdgeSettings, mint_token};
use wsmesh_adapter::Room;

use crate::common::Server;
use crate::door::{answering, door, hook, key, knock, with_tokens};

async fn by_message(status: u16, answer: Value) -> (crate::server::Backend, Server) {
    let backend = answering(status, answer).await;
    let settings = with_tokens(hook(&backend, json!({"mode": "after", "headers": ["x-shown"]})));
    let settings = EdgeSettings {
        auth: AuthSettings {
            by_message: true,
            timeout: Duration::from_secs(9),
            ..settings.auth
        },
        ..settings
    };
    let server = door(settings).await;
    (backend, server)
}

fn token() -> Value {
    let token = mint_token(&key(), "888", Duration::from_secs(60)).expect("a token");
    json!({"token": token})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_is_asked_once_the_token_is_there_and_rooms_are_joined_before_the_reply() {
    let (backend, server) = by_message(200, json!({"joinRooms": ["user:888"], "data": 1})).await;
    let mut client = knock(&server, "a=1", &[("x-shown", "yes")]).await.expect("upgraded");
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(client.request("authenticate", token()).await["client"], "888");
    let room = Room::new("user", "888").expect("valid");
    assert_eq!(server.node.adapter().room_members(&room).len(), 1);
    let question: Value = serde_json::from_str(&backend.requests()[0].body).expect("JSON");
    assert_eq!(
        (&question["client"], &question["params"]),
        (&json!("888"), &json!({"a": "1"}))
    );
    assert_eq!(question["headers"], json!({"x-shown": "yes"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_the_hook_refuses_is_told_and_closed() {
    for (status, code, error) in [(403, 4011, "NOT_ALLOWED"), (500, 1013, "UNAVAILABLE")] {
        let (_backend, server) = by_message(status, json!({})).await;
        let mut client = knock(&server, "", &[]).await.expect("upgraded");
        assert_eq!(client.request("authenticate", token()).await["errorCode"], error);
        assert_eq!(client.close_code().await, Some(code));
        assert_eq!(server.node.adapter().client_count(), 0);
    }
}
