//! The rooms that a token or a ticket lets its client publish to.

use serde_json::{Value, json};
use ws_node::{AuthSettings, EdgeSettings, NamespaceSettings};
use wsmesh_adapter::Namespace;

use crate::common::{Client, Server, bus};
use crate::door::{closed, code, counted, show};
use crate::signer::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Clients may join rooms of "chat" and publish to them.
async fn server(more: AuthSettings) -> Server {
    let chat = Namespace::new("chat").expect("valid");
    let namespaces = vec![NamespaceSettings {
        client_publish: true,
        ..NamespaceSettings::new(chat.clone())
    }];
    let settings = EdgeSettings {
        auth: AuthSettings {
            jwt_key: Some(Signer::secret(SECRET).key_file()),
            ..more
        },
        client_rooms: vec![chat],
        namespaces: namespaces.into(),
        ..closed()
    };
    Server::start("edge", &bus(), settings).await
}

async fn client(server: &Server, id: &str, claims: Value) -> Client {
    show(server, &Signer::secret(SECRET).token(id, claims))
        .await
        .expect("good")
}

async fn join(client: &mut Client, room: &str) {
    let joined = client.request("joinRoom", json!({"roomId": room})).await;
    assert_eq!(joined, json!({"msg": "joined"}));
}

async fn publish(client: &mut Client, namespace: &str, room: &str) -> String {
    let message = json!({"namespace": namespace, "roomId": room, "data": "x"});
    let reply = client.request("publish", message).await;
    if reply == json!({"ok": true}) {
        "ok".to_owned()
    } else {
        code(&reply).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_rooms_to_publish_to_replaces_the_settings_and_needs_no_membership() {
    let server = server(AuthSettings::default()).await;
    let mut reader = client(&server, "reader", json!({"rooms": ["news:*"]})).await;
    let joined = reader
        .request("joinRoom", json!({"namespace": "news", "roomId": "7"}))
        .await;
    assert_eq!(joined, json!({"msg": "joined"}));
    let mut editor = client(&server, "editor", json!({"publish": ["news:7", "log:*"]})).await;
    assert_eq!(publish(&mut editor, "news", "7").await, "ok");
    let message = reader.frame().await;
    assert_eq!(message["payload"]["from"], json!("editor"), "{message}");
    for (namespace, room, expected) in [("log", "any", "ok"), ("news", "8", "NOT_ALLOWED")] {
        assert_eq!(
            publish(&mut editor, namespace, room).await,
            expected,
            "{namespace}:{room}"
        );
    }
    // The list replaces what the settings allow to members.
    join(&mut editor, "1").await;
    assert_eq!(publish(&mut editor, "chat", "1").await, "NOT_ALLOWED");
    // Without a list a member may publish where the settings say so.
    assert_eq!(publish(&mut reader, "news", "7").await, "NOT_ALLOWED");
    let mut plain = client(&server, "plain", json!({"publish": null})).await;
    join(&mut plain, "1").await;
    assert_eq!(publish(&mut plain, "chat", "1").await, "ok");
    assert_eq!(counted(&server.registry, "wsmesh_client_denied_total", "publish"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_events_must_name_publish_unless_there_is_a_list_of_rooms_to_publish_to() {
    let server = server(AuthSettings::default()).await;
    for (claims, expected) in [
        (json!({"events": ["say"]}), "NOT_ALLOWED"),
        (json!({"events": ["say", "publish"]}), "ok"),
        (json!({"events": ["say"], "publish": ["chat:1"]}), "ok"),
        (json!({"events": ["publish"], "publish": []}), "NOT_ALLOWED"),
    ] {
        let mut client = client(&server, "ann", claims.clone()).await;
        join(&mut client, "1").await;
        assert_eq!(publish(&mut client, "chat", "1").await, expected, "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_replaces_the_list_and_one_that_cannot_be_read_is_rejected() {
    let server = server(AuthSettings::default()).await;
    let mut ann = client(&server, "ann", json!({"publish": ["news:*"]})).await;
    assert_eq!(publish(&mut ann, "news", "7").await, "ok");
    let newer = Signer::secret(SECRET).token("ann", json!({"publish": ["log:*"]}));
    assert_eq!(
        ann.request("refreshToken", json!({"token": newer})).await["ok"],
        json!(true)
    );
    assert_eq!(publish(&mut ann, "news", "7").await, "NOT_ALLOWED");
    assert_eq!(publish(&mut ann, "log", "7").await, "ok");
    for unreadable in [json!("news:*"), json!(["news"]), json!({})] {
        let token = Signer::secret(SECRET).token("ann", json!({"publish": unreadable}));
        let refused = ann.request("refreshToken", json!({"token": token})).await;
        assert_eq!(code(&refused), "NOT_ALLOWED", "{unreadable}");
        let knocked = show(&server, &token).await;
        assert_eq!(knocked.err().map(|(status, _)| status), Some(401), "{unreadable}");
    }
    assert_eq!(publish(&mut ann, "log", "7").await, "ok", "a bad token changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claim_has_the_name_that_the_settings_give_it() {
    let auth = AuthSettings {
        publish_claim: "https://example.org/publish".to_owned(),
        ..AuthSettings::default()
    };
    let server = server(auth).await;
    let mut ann = client(
        &server,
        "ann",
        json!({"https://example.org/publish": ["news:*"], "publish": []}),
    )
    .await;
    assert_eq!(publish(&mut ann, "news", "7").await, "ok");
}
