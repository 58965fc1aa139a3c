//! Messages to a room, to one client, to several clients, to everyone: who gets them, and what the answer says.

use serde_json::json;

use super::fixture::{Cluster, get, post};
use super::openapi::check;

const HELLO: &str = r#"{"event":"say","payload":{"big":12345678901234567890}}"#;
const HELLO_FRAME: &str = r#"{"event":"say","payload":{"big":12345678901234567890}}"#;

#[tokio::test]
async fn a_room_message_reaches_the_members_on_every_server_except_those_left_out() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let mut members = [one.client("ann").await, two.client("bob").await];
    let mut left_out = two.client("cid").await;
    one.join("ann", "chat", "x/y z").await;
    for id in ["bob", "cid"] {
        two.join(id, "chat", "x/y z").await;
    }
    let open = cluster.open();
    let path = "/api/v1/rooms/chat/x%2Fy%20z/messages";
    let body = r#"{"event":"say","payload":{"big":12345678901234567890},"except":["cid","nobody"]}"#;
    let sent = post(&open, path, body).await;
    assert_eq!(
        (sent.status.as_u16(), sent.json()),
        (202, json!({"accepted": true, "servers": 2}))
    );
    check("Accepted", &sent.json());
    for member in &mut members {
        assert_eq!(member.frame().await, HELLO_FRAME);
    }
    let all = post(&open, path, r#"{"event":"all"}"#).await;
    assert_eq!(all.json()["servers"], 2);
    assert_eq!(left_out.frame().await, r#"{"event":"all","payload":null}"#);
    let nobody = post(&open, "/api/v1/rooms/chat/empty/messages", HELLO).await;
    assert_eq!(nobody.json(), json!({"accepted": true, "servers": 0}));
}

#[tokio::test]
async fn a_client_gets_its_message_once_and_one_that_is_nowhere_is_a_problem() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let sent = post(&open, "/api/v1/clients/ann/messages", HELLO).await;
    assert_eq!(
        (sent.status.as_u16(), sent.json()),
        (202, json!({"accepted": true, "servers": 1, "state": "connected"}))
    );
    check("AcceptedForClient", &sent.json());
    assert_eq!(ann.frame().await, HELLO_FRAME);
    let nobody = post(&open, "/api/v1/clients/nobody/messages", HELLO).await;
    nobody.is_offline();
    check("Problem", &nobody.json());
    // Its server still subscribes to it for some seconds.
    drop(ann);
    post(&open, "/api/v1/clients/ann/messages", HELLO).await.is_offline();
}

#[tokio::test]
async fn several_clients_get_a_message_once_each_and_the_offline_are_named() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    let open = cluster.open();
    let body = r#"{"event":"you","ids":["ann","nobody","bob","ann"]}"#;
    let sent = post(&open, "/api/v1/clients/messages", body).await;
    assert_eq!(sent.status, 202);
    assert_eq!(
        sent.json(),
        json!({"accepted": true, "servers": 2, "offline": ["nobody"], "unknown": [], "failed": []})
    );
    check("AcceptedForClients", &sent.json());
    post(
        &open,
        "/api/v1/clients/messages",
        r#"{"event":"end","ids":["ann","bob"]}"#,
    )
    .await;
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.frame().await, r#"{"event":"you","payload":null}"#);
        assert_eq!(client.frame().await, r#"{"event":"end","payload":null}"#);
    }
    for ids in [r#"["nobody"]"#, r#"["nobody","noone"]"#] {
        let body = format!(r#"{{"event":"you","ids":{ids}}}"#);
        post(&open, "/api/v1/clients/messages", body).await.is_offline();
    }
}

#[tokio::test]
async fn a_broadcast_leaves_some_out_and_says_how_many_servers_got_it() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    let open = cluster.open();
    let first = post(&open, "/api/v1/broadcast", r#"{"event":"first","except":["bob"]}"#).await;
    assert_eq!((first.status.as_u16(), &first.json()["servers"]), (200, &json!(2)));
    check("Sent", &first.json());
    post(&open, "/api/v1/broadcast", r#"{"event":"second"}"#).await.json();
    assert_eq!(ann.frame().await, r#"{"event":"first","payload":null}"#);
    assert_eq!(bob.frame().await, r#"{"event":"second","payload":null}"#);
    let both = post(
        &open,
        "/api/v1/broadcast",
        r#"{"event":"a","clients":["ann"],"except":["bob"]}"#,
    )
    .await;
    assert!(both.problem(400).contains("leave these clients out"));
}

#[tokio::test]
async fn a_broadcast_to_some_clients_is_checked_and_answered_as_a_message_to_them() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let open = cluster.open();
    let path = "/api/v1/broadcast";
    let to = |ids: serde_json::Value| json!({"event": "you", "clients": ids}).to_string();
    let sent = post(&open, path, to(json!(["ann", "nobody"]))).await.json();
    check("Sent", &sent);
    for (field, expected) in [
        ("accepted", json!(true)),
        ("servers", json!(1)),
        ("offline", json!(["nobody"])),
        ("unknown", json!([])),
        ("failed", json!([])),
    ] {
        assert_eq!(sent[field], expected, "{field}");
    }
    assert_eq!(ann.frame().await, r#"{"event":"you","payload":null}"#);
    for ids in [json!([]), json!(vec!["ann"; 1001])] {
        assert!(post(&open, path, to(ids)).await.problem(400).contains("send 1 to 1000"));
    }
    post(&open, path, to(json!(["nobody"]))).await.is_offline();
    post(&open, path, to(json!(["nobody", "noone"]))).await.is_offline();
    assert!(ann.frames.try_recv().is_err());
}

#[tokio::test]
async fn a_client_on_a_server_that_does_not_answer_gets_its_message_and_is_unknown() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    edge.crash();
    let open = cluster.open();
    let sent = post(&open, "/api/v1/clients/ann/messages", HELLO).await;
    // Redis may have noticed already that its subscriber is gone: then nobody got it.
    match sent.status.as_u16() {
        202 => assert_eq!(sent.json()["state"], "unknown", "{}", sent.text),
        _ => sent.is_offline(),
    }
    let found = post(&open, "/api/v1/clients/query", r#"{"ids":["ann"]}"#).await.json();
    assert_eq!(
        (&found["complete"], &found["clients"][0]["state"]),
        (&json!(false), &json!("unknown"))
    );
    check("ClientsFound", &found);
}

#[tokio::test]
async fn a_client_may_be_called_as_a_path_ends() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let open = cluster.open();
    for id in ["messages", "query"] {
        let mut client = edge.client(id).await;
        let found = get(&open, &format!("/api/v1/clients/{id}")).await.json();
        assert_eq!((&found["client"], &found["state"]), (&json!(id), &json!("connected")));
        post(&open, &format!("/api/v1/clients/{id}/messages"), HELLO)
            .await
            .json();
        assert_eq!(client.frame().await, HELLO_FRAME);
    }
}
