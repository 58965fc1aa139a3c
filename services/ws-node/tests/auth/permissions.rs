//! The rooms and events that a token allows.

use serde_json::{Value, json};
use ws_node::{AuthSettings, EdgeSettings};
use wsmesh_adapter::{ClientId, Namespace, Payload, Room};

use crate::common::{Client, Other, Server, bus, sees};
use crate::door::{closed, code, counted, show};
use crate::signer::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn server(bus: &wsmesh_adapter::MemoryBus) -> Server {
    let auth = AuthSettings {
        jwt_key: Some(Signer::secret(SECRET).key_file()),
        ..AuthSettings::default()
    };
    let settings = EdgeSettings {
        auth,
        client_rooms: Namespace::new("chat").into_iter().collect(),
        ..closed()
    };
    Server::start("edge", bus, settings).await
}

async fn client(server: &Server, claims: Value) -> Client {
    show(server, &Signer::secret(SECRET).token("888", claims))
        .await
        .expect("good")
}

async fn join(client: &mut Client, namespace: &str, id: &str) -> Value {
    client
        .request("joinRoom", json!({"namespace": namespace, "roomId": id}))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_rooms_replaces_the_rooms_that_the_settings_allow() {
    let server = server(&bus()).await;
    let joined = json!({"msg": "joined"});
    let mut plain = client(&server, json!({})).await;
    assert_eq!(join(&mut plain, "chat", "1").await, joined);
    let outside = join(&mut plain, "team", "red").await;
    assert_eq!(code(&outside), "NOT_ALLOWED");

    let mut listed = client(&server, json!({"rooms": ["team:red*", "chat:7"]})).await;
    for (namespace, id) in [("team", "red"), ("team", "red-2"), ("chat", "7")] {
        assert_eq!(join(&mut listed, namespace, id).await, joined, "{namespace}:{id}");
    }
    for (namespace, id) in [("team", "blue"), ("chat", "1"), ("chat", "77"), ("team:red", "x")] {
        assert_eq!(
            join(&mut listed, namespace, id).await,
            outside,
            "whether it exists or not: {namespace}:{id}"
        );
        let left = listed
            .request("leaveRoom", json!({"namespace": namespace, "roomId": id}))
            .await;
        assert_eq!(left, outside);
    }
    let mut none = client(&server, json!({"rooms": []})).await;
    assert_eq!(join(&mut none, "chat", "1").await, outside);
    assert_eq!(counted(&server.registry, "wsmesh_client_denied_total", "room"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_that_allows_fewer_rooms_takes_its_client_out_of_the_others() {
    let server = server(&bus()).await;
    let mut client = client(&server, json!({"rooms": ["team:*"]})).await;
    for id in ["red", "blue"] {
        assert_eq!(join(&mut client, "team", id).await, json!({"msg": "joined"}));
    }
    let (adapter, id) = (server.node.adapter(), ClientId::new("888").expect("valid"));
    let room = |namespace: &str, id: &str| Room::new(namespace, id).expect("valid");
    // A server put it there, which does not depend on its token.
    adapter.join(&id, room("match", "1")).await.expect("here");
    let token = Signer::secret(SECRET).token("888", json!({"rooms": ["team:red"]}));
    let renewed = client.request("refreshToken", json!({"token": token})).await;
    assert_eq!(renewed["ok"], json!(true));
    let mut rooms = adapter.joined_rooms(&id);
    rooms.sort();
    assert_eq!(rooms, [room("match", "1"), room("team", "red")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_events_is_all_that_a_client_may_send() {
    let bus = bus();
    let server = server(&bus).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(server.node.adapter(), 2).await;
    for event in ["gamePing", "matchRequest"] {
        logic.adapter.on(event, |event| async move {
            event
                .reply(Payload::new(&json!("done")).expect("JSON"))
                .await
                .expect("sends");
        });
    }
    let mut client = client(&server, json!({"events": ["game*"]})).await;
    assert_eq!(client.request("gamePing", json!(1)).await, json!("done"));
    for event in ["matchRequest", "nobody handles this"] {
        assert_eq!(code(&client.request(event, json!(1)).await), "NOT_ALLOWED", "{event}");
    }
    client.emit("matchRequest", json!(1)).await;
    assert_eq!(
        client.request("enterForeground", json!(null)).await,
        json!({"ok": true})
    );
    assert_eq!(
        join(&mut client, "chat", "1").await,
        json!({"msg": "joined"}),
        "rooms have their own list"
    );
    assert_eq!(counted(&server.registry, "wsmesh_client_denied_total", "event"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_an_unreadable_list_is_rejected() {
    let server = server(&bus()).await;
    for claims in [
        json!({"rooms": "chat:*"}),
        json!({"rooms": ["lobby"]}),
        json!({"events": [7]}),
        json!({"events": {}}),
    ] {
        let knocked = show(&server, &Signer::secret(SECRET).token("888", claims.clone())).await;
        assert_eq!(knocked.err().map(|(status, _)| status), Some(401), "{claims}");
    }
}
