//! Requests of servers to clients, and services that reply to clients themselves.

mod common;

use std::time::Duration;

use common::{Other, PATIENCE, Server, bus, demo, sees};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use ws_node::{ReplyBy, Rule};
use wsmesh_adapter::{Adapter, ClientId, ClientRequestError, Frame};
use wsmesh_protocol::forward::Forwarded;
use wsmesh_protocol::frame;

fn id(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

/// Asks a client whether it is ready.
async fn ask(adapter: &Adapter, client: &str, limit: Duration) -> Result<Value, ClientRequestError> {
    let payload = to_raw_value(&json!({"round": 1})).expect("JSON");
    let question = |id: &str| Frame::new(frame::request("ready?", &*payload, id));
    let answer = adapter.ask_client(&id(client), question, Some(limit)).await?;
    Ok(answer.parse().expect("JSON"))
}

fn answer_to(asked: &Value, payload: Value) -> String {
    json!({"payload": payload, "requestId": asked["requestId"]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_server_can_send_a_request_to_a_client_wherever_it_is_and_gets_its_answer() {
    let bus = bus();
    let (edge, far) = (
        Server::start("edge", &bus, demo()).await,
        Server::start("far", &bus, demo()).await,
    );
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(&logic.adapter, 3).await;
    let mut ann = edge.client("ann").await.settled().await;
    for asker in [&logic.adapter, far.node.adapter(), edge.node.adapter()] {
        let (answer, ()) = tokio::join!(ask(asker, "ann", PATIENCE), async {
            let asked = ann.frame().await;
            assert_eq!(
                (&asked["event"], &asked["payload"]),
                (&json!("ready?"), &json!({"round": 1}))
            );
            ann.send(answer_to(&asked, json!({"yes": true}))).await;
        });
        assert_eq!(answer.expect("answered"), json!({"yes": true}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_client_that_was_asked_can_answer_and_only_once() {
    let bus = bus();
    let edge = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(&logic.adapter, 2).await;
    let mut ann = edge.client("ann").await.settled().await;
    let mut eve = edge.client("eve").await.settled().await;
    let (answer, asked) = tokio::join!(ask(&logic.adapter, "ann", PATIENCE), async {
        let asked = ann.frame().await;
        eve.send(answer_to(&asked, json!("forged"))).await;
        eve.request("echo", json!(1)).await;
        ann.send(answer_to(&asked, json!("true"))).await;
        ann.send(answer_to(&asked, json!("again"))).await;
        asked
    });
    assert_eq!(answer.expect("answered"), json!("true"));
    ann.send(answer_to(&asked, json!("late"))).await;
    assert_eq!(
        ann.request("echo", json!(1)).await,
        json!({"ok": true}),
        "still connected"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_leaving_and_silent_clients_are_told_apart() {
    let bus = bus();
    let edge = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(&logic.adapter, 2).await;
    let offline = ask(&logic.adapter, "nobody", PATIENCE).await.expect_err("nobody");
    assert!(matches!(offline, ClientRequestError::Offline(_)), "{offline}");

    let silent = edge.client("silent").await.settled().await;
    let late = ask(&logic.adapter, "silent", Duration::from_millis(200))
        .await
        .expect_err("silent");
    assert!(matches!(late, ClientRequestError::TimedOut(_)), "{late}");
    drop(silent);

    let mut leaving = edge.client("leaving").await.settled().await;
    let (gone, ()) = tokio::join!(ask(&logic.adapter, "leaving", PATIENCE), async {
        leaving.frame().await;
        leaving.socket.close(None).await.expect("closes");
    });
    let gone = gone.expect_err("it left");
    assert!(matches!(gone, ClientRequestError::Gone(_)), "{gone}");
    common::until("it has left", || !edge.node.adapter().is_here(&id("leaving"))).await;
    // Its channel stays subscribed for a while: its server answers that it is not there.
    let offline = ask(&logic.adapter, "leaving", PATIENCE).await.expect_err("it left");
    assert!(matches!(offline, ClientRequestError::Offline(_)), "{offline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_replies_to_the_client_itself_where_the_rule_says_so() {
    let bus = bus();
    let mut settings = demo();
    settings.rules.push(Rule {
        reply: ReplyBy::Direct,
        ..Rule::to_service("buy", "shop".try_into().expect("valid"))
    });
    let edge = Server::start("edge", &bus, settings).await;
    let mut ann = edge.client("ann").await.settled().await;
    let refused = ann.request("buy", json!({"item": 7})).await;
    assert_eq!(refused["errorCode"], "UNAVAILABLE", "there is no shop yet");

    let shop = Other::start("shop-1", "shop", &bus).await;
    sees(edge.node.adapter(), 2).await;
    let adapter = shop.adapter.clone();
    shop.adapter.on("buy", move |event| {
        let adapter = adapter.clone();
        async move {
            assert!(!event.is_request(), "the client waits, not the ws-node");
            let json = event.payload.to_json().expect("JSON");
            let asked: Forwarded = serde_json::from_slice(&json).expect("as agreed");
            let callback_id = asked.callback_id.expect("the client wants a reply");
            let reply = frame::reply(&callback_id, &*to_raw_value(&json!({"sold": 7})).expect("JSON"));
            let client = asked.client.try_into().expect("valid");
            adapter.to_client(&client, Frame::new(reply)).await.expect("sent");
        }
    });
    assert_eq!(ann.request("buy", json!({"item": 7})).await, json!({"sold": 7}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_just_left_the_requesting_server_is_offline_and_silent_clients_delay_nobody() {
    let bus = bus();
    let edge = Server::start("edge", &bus, demo()).await;
    let logic = Other::start("logic", "game-logic", &bus).await;
    sees(&logic.adapter, 2).await;
    let mut gone = edge.client("gone").await.settled().await;
    gone.socket.close(None).await.expect("closes");
    common::until("it has left", || !edge.node.adapter().is_here(&id("gone"))).await;
    let offline = ask(edge.node.adapter(), "gone", PATIENCE).await.expect_err("it left");
    assert!(matches!(offline, ClientRequestError::Offline(_)), "{offline}");

    let mut ann = edge.client("ann").await.settled().await;
    // The ws-node knows how long each request waits, so those that were given up do not count any more.
    for _ in 0..15 {
        let unanswered = (0..10).map(|_| ask(&logic.adapter, "ann", Duration::from_millis(20)));
        for late in futures_util::future::join_all(unanswered).await {
            assert!(matches!(late, Err(ClientRequestError::TimedOut(_))), "{late:?}");
        }
    }
    let (answer, ()) = tokio::join!(ask(&logic.adapter, "ann", PATIENCE), async {
        let mut asked = Vec::new();
        while asked.len() < 151 {
            asked.push(ann.frame().await);
        }
        ann.send(answer_to(&asked[150], json!(1))).await;
    });
    assert_eq!(answer.expect("answered"), json!(1));
}
