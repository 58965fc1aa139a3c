//! Handlers for events: typed payloads, replies and refusals, registered before the start and while clients are connected.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use ws_node::{AuthSettings, Client, EdgeSettings, HandlerError, Handlers, Refusal, WsNode};
use wsmesh_adapter::{ClientId, Options, Room, ServerName, ServiceName};
use wsmesh_bootstrap::{Secret, SecretFile};

use crate::common::{Client as Peer, Other, Received, Server, bus, demo, sees};
use crate::support::{Notes, code, counter, server, server_with};

#[derive(Deserialize)]
struct Bid {
    amount: u32,
}

#[derive(Serialize)]
struct Accepted {
    bidder: ClientId,
    amount: u32,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_reads_a_typed_payload_and_its_result_is_the_reply() {
    let server = server(|node| {
        node.on::<Bid, _, _>("placeBid", |client, bid| async move {
            if bid.amount == 0 {
                return Err(Refusal::new("TOO_LOW", "bid more than nothing"));
            }
            let bidder = client.id().clone();
            Ok(Accepted {
                bidder,
                amount: bid.amount,
            })
        })
        .on("raw", |_: Client, payload: Box<RawValue>| async move {
            Ok::<_, Refusal>(payload)
        })
        .on("nothing", |_: Client, _: Value| async {})
    })
    .await;
    let mut ann = server.client("ann").await;
    assert_eq!(
        ann.request("placeBid", json!({"amount": 7})).await,
        json!({"bidder": "ann", "amount": 7})
    );
    let refused = ann.request("placeBid", json!({"amount": 0})).await;
    assert_eq!(
        refused,
        json!({"error": "bid more than nothing", "errorCode": "TOO_LOW"})
    );
    for (bad, why) in [
        (json!({"amount": -1}), "-1"),
        (json!({}), "missing field `amount`"),
        (json!(7), "invalid type"),
    ] {
        let refused = ann.request("placeBid", bad.clone()).await;
        assert_eq!(code(&refused), "BAD_PAYLOAD", "{bad}");
        assert!(refused["error"].as_str().expect("a text").contains(why), "{refused}");
    }
    ann.send(r#"{"event":"raw","payload":{"b": 1, "a":1.50},"callbackId":7}"#)
        .await;
    let Received::Frame(reply) = ann.next().await else {
        panic!("a reply")
    };
    assert_eq!(reply, json!({"callbackId": 7, "payload": {"b": 1, "a": 1.50}}));
    assert_eq!(ann.request("nothing", json!(null)).await, json!({"ok": true}));
    assert_eq!(counter(&server, "wsmesh_client_requests_refused_total"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_callback_id_is_handled_and_gets_no_reply() {
    let notes = Notes::default();
    let noted = notes.clone();
    let server = server(|node| {
        node.on("note", move |_: Client, text: String| {
            noted.add(text);
            async { Err::<(), _>(Refusal::new("NOT_ALLOWED", "nobody hears this")) }
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    ann.emit("note", json!("one")).await;
    ann.emit("note", json!(2)).await;
    assert_eq!(ann.request("note", json!("three")).await["errorCode"], "NOT_ALLOWED");
    assert_eq!(notes.all(), ["one", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_pushes_joins_leaves_and_disconnects_its_client_and_reaches_others() {
    let server = server(|node| {
        node.on("enter", |client: Client, id: String| async move {
            let room = Room::new("secret", id)?;
            client.join(room.clone()).await?;
            client.push("entered", &json!({"rooms": client.rooms().len()})).await?;
            client.adapter().push_to_room(&room, "news", client.id()).await?;
            let left = client.leave(&room).await?;
            Ok::<_, Refusal>(json!({"left": left, "connection": client.context().params}))
        })
        .on("leave", |client: Client, code: u16| async move {
            client.push("bye", &1).await?;
            Ok::<_, Refusal>(client.disconnect(code, "as you wish").await?)
        })
    })
    .await;
    let mut ann = server.client("ann").await;
    ann.send(r#"{"event":"enter","payload":"7","callbackId":1}"#).await;
    assert_eq!(ann.frame().await, json!({"event": "entered", "payload": {"rooms": 1}}));
    assert_eq!(ann.frame().await, json!({"event": "news", "payload": "ann"}));
    let reply = ann.frame().await;
    assert_eq!(
        reply["payload"]["left"],
        json!(true),
        "after what the handler sent: {reply}"
    );
    assert_eq!(code(&ann.request("enter", json!("")).await), "BAD_PAYLOAD");
    assert_eq!(code(&ann.request("leave", json!(1006)).await), "BAD_PAYLOAD");
    ann.emit("leave", json!(4321)).await;
    assert_eq!(ann.frame().await, json!({"event": "bye", "payload": 1}));
    assert_eq!(
        ann.next().await,
        Received::Closed(Some((4321, "as you wish".to_owned())))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_come_and_go_while_clients_are_connected_and_before_built_in_events_and_rules() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(server.node.adapter(), 2).await;
    logic.adapter.on("gamePing", |event| async move {
        event.reply_with(&json!("from the service")).await.expect("sends");
    });
    let mut ann = server.client("ann").await;
    assert_eq!(code(&ann.request("later", json!(1)).await), "UNKNOWN_EVENT");
    let handlers = server.node.handlers().clone();
    let say = |text: &'static str| move |_: Client, _: Value| async move { Ok::<_, Refusal>(text) };
    let later = handlers.on("later", say("now")).expect("allowed");
    assert_eq!(ann.request("later", json!(1)).await, json!("now"));
    let mine = [("echo", json!({"ok": true})), ("gamePing", json!("from the service"))];
    for (event, before) in mine {
        assert_eq!(ann.request(event, json!(1)).await, before);
        let id = handlers.on(event, say("mine")).expect("allowed");
        assert_eq!(ann.request(event, json!(1)).await, json!("mine"), "{event}");
        assert!(handlers.off(id) && !handlers.off(id));
        assert_eq!(ann.request(event, json!(1)).await, before, "{event}");
    }
    assert!(handlers.off(later));
    assert_eq!(code(&ann.request("later", json!(1)).await), "UNKNOWN_EVENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_handlers_replies_all_run_and_once_is_once() {
    let notes = Notes::default();
    let server = server(|node| node).await;
    let handlers = server.node.handlers();
    let note = |name: &'static str| {
        let notes = notes.clone();
        move |_: Client, number: u32| {
            notes.add(format!("{name}{number}"));
            async move { Ok::<_, Refusal>(name) }
        }
    };
    handlers.once("count", note("once")).expect("allowed");
    handlers.on_tagged("count", "screen", note("a")).expect("allowed");
    handlers.on_tagged("count", "screen", note("b")).expect("allowed");
    handlers.on("count", note("c")).expect("allowed");
    let mut ann = server.client("ann").await;
    assert_eq!(ann.request("count", json!(1)).await, json!("once"));
    assert_eq!(ann.request("count", json!(2)).await, json!("a"));
    assert_eq!(
        (handlers.off_tag("count", "screen"), handlers.off_tag("count", "screen")),
        (2, 0)
    );
    assert_eq!(ann.request("count", json!(3)).await, json!("c"));
    assert_eq!(
        notes.first(8).await,
        ["once1", "a1", "b1", "c1", "a2", "b2", "c2", "c3"]
    );
    handlers.once("single", note("single")).expect("allowed");
    assert_eq!(ann.request("single", json!(4)).await, json!("single"));
    assert_eq!(code(&ann.request("single", json!(5)).await), "UNKNOWN_EVENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_clients_that_race_for_a_handler_that_runs_once_each_is_answered() {
    let server = server_with(EdgeSettings { shards: 4, ..demo() }, |node| node).await;
    let handlers = server.node.handlers();
    let mut clients = Vec::new();
    for number in 0..8 {
        clients.push(server.client(&format!("c{number}")).await);
    }
    for _ in 0..50 {
        handlers
            .once("first", |_: Client, (): ()| async { Ok::<_, Refusal>("you") })
            .expect("allowed");
        let replies = join_all(clients.iter_mut().map(|client| client.request("first", json!(null)))).await;
        let winners = replies.iter().filter(|reply| **reply == json!("you")).count();
        let losers = replies.iter().filter(|reply| code(reply) == "UNKNOWN_EVENT").count();
        assert_eq!((winners, losers), (1, 7), "{replies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_cannot_handle_events_that_carry_tokens_or_belong_to_the_servers() {
    let handle = |_: Client, _: Value| async {};
    let handlers = Handlers::new();
    assert_eq!(handlers.on("", handle), Err(HandlerError::NoEvent));
    for event in ["authenticate", "refreshToken"] {
        assert_eq!(
            handlers.once(event, handle),
            Err(HandlerError::Credentials(event.to_owned()))
        );
    }
    assert!(matches!(
        handlers.on("wsmesh.kick", handle),
        Err(HandlerError::Reserved(_))
    ));
    let options = Options::new(
        ServerName::new("edge").expect("valid"),
        ServiceName::new("ws-node").expect("valid"),
    );
    let node = WsNode::builder(options, demo())
        .on("refreshToken", handle)
        .on("", handle);
    let problems = node.start().err().expect("not started").to_string();
    assert_eq!(problems.lines().count(), 2, "{problems}");
    assert!(problems.contains("\"refreshToken\" carries tokens"), "{problems}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_events_in_a_token_also_holds_for_handlers() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let settings = EdgeSettings {
        auth: AuthSettings {
            jwt_key: Some(SecretFile::from_secret(Secret::new(SECRET))),
            ..AuthSettings::default()
        },
        shards: 2,
        ..EdgeSettings::default()
    };
    let server = crate::support::server_with(settings, |node| {
        node.on("mine", |_: Client, _: Value| async {})
            .on("joinRoom", |_: Client, _: Value| async {})
    })
    .await;
    let claims = json!({"sub": "ann", "exp": 4_102_444_800_u64, "events": ["mine"]});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signs");
    let mut ann = Peer::connect(&format!("ws://{}/?token={token}", server.address))
        .await
        .expect("good");
    assert_eq!(ann.request("mine", json!(1)).await, json!({"ok": true}));
    assert_eq!(
        code(&ann.request("joinRoom", json!(1)).await),
        "NOT_ALLOWED",
        "it is not the built-in event any more"
    );
}
