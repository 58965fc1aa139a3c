//! Requests of clients that say how long they wait, and that are carried out once when they are repeated.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{Client, Other, PATIENCE, Server, bus, demo, sees};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::timeout;
use ws_node::{EdgeSettings, Rule};
use wsmesh_adapter::{MemoryBus, Refusal};
use wsmesh_protocol::forward::Forwarded;

fn settings() -> EdgeSettings {
    let rule: Rule = serde_json::from_value(json!({"event": "buy", "service": "shop"})).expect("a rule");
    let mut settings = demo();
    settings.rules.push(rule);
    settings
}

/// Sends a request with these fields and returns its reply's payload.
async fn ask(client: &mut Client, payload: Value, fields: Value) -> Value {
    let mut frame = json!({"event": "buy", "payload": payload, "callbackId": "c"});
    for (name, value) in fields.as_object().expect("fields") {
        frame[name] = value.clone();
    }
    client.send(frame.to_string()).await;
    client.frame().await["payload"].take()
}

/// What the servers of a shop sold: server, client, payload.
type Sold = Arc<Mutex<Vec<(String, String, String)>>>;

async fn shop(name: &str, bus: &MemoryBus, sold: &Sold) -> Other {
    let shop = Other::start(name, "shop", bus).await;
    let (sold, name) = (sold.clone(), name.to_owned());
    shop.adapter.on_request("buy", move |event| {
        let json = event.payload.to_json().expect("JSON");
        let asked: Forwarded = serde_json::from_slice(&json).expect("as agreed");
        let mut sold = sold.lock();
        sold.push((name.clone(), asked.client, asked.payload.get().to_owned()));
        let number = sold.len();
        std::future::ready(Ok::<_, Refusal>(number))
    });
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_takes_no_longer_than_its_client_waits() {
    let bus = bus();
    let edge = Server::start("edge", &bus, settings()).await;
    let shop = Other::start("shop", "shop", &bus).await;
    sees(edge.node.adapter(), 2).await;
    let mut orders = shop.adapter.listen("buy");
    let mut ann = edge.client("ann").await.settled().await;
    let asking = ask(&mut ann, json!(1), json!({"timeoutMs": 1500}));
    let (late, order) = tokio::join!(asking, timeout(PATIENCE, orders.next()));
    assert_eq!(late["errorCode"], "TIMEOUT");
    let order = order.expect("it comes").expect("listening");
    assert!(order.remaining().expect("a limit") <= Duration::from_millis(1500));
    timeout(PATIENCE, order.abandoned()).await.expect("its time ends");
    let asking = ask(&mut ann, json!(1), json!({"timeoutMs": 1e12}));
    let (reply, order) = tokio::join!(asking, async {
        let order = orders.next().await.expect("listening");
        // The rule's own limit is shorter.
        let left = order.remaining().expect("a limit");
        order.reply_with(&true).await.expect("sent");
        left
    });
    assert_eq!(reply, json!(true));
    assert!(order <= Duration::from_secs(4), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_time_or_with_a_bad_field_is_refused_and_not_forwarded() {
    let (bus, sold) = (bus(), Sold::default());
    let edge = Server::start("edge", &bus, settings()).await;
    let _shop = shop("shop", &bus, &sold).await;
    sees(edge.node.adapter(), 2).await;
    let mut ann = edge.client("ann").await.settled().await;
    for (fields, code) in [
        (json!({"timeoutMs": 0}), "TIMEOUT"),
        (json!({"timeoutMs": -1}), "BAD_FRAME"),
        (json!({"timeoutMs": "1000"}), "BAD_FRAME"),
        (json!({"idempotencyKey": ""}), "BAD_FRAME"),
        (json!({"idempotencyKey": 7}), "BAD_FRAME"),
        (json!({"idempotencyKey": "a\r\nb"}), "BAD_FRAME"),
        (json!({"idempotencyKey": "x".repeat(60_000)}), "BAD_FRAME"),
    ] {
        let refused = ask(&mut ann, json!(1), fields.clone()).await;
        assert_eq!(refused["errorCode"], code, "{fields}");
    }
    assert!(sold.lock().is_empty());
    let fields = json!({"timeoutMs": null, "idempotencyKey": null});
    assert_eq!(ask(&mut ann, json!(1), fields).await, json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_through_another_ws_node_is_carried_out_once_and_other_clients_are_not_concerned() {
    let (bus, sold) = (bus(), Sold::default());
    let edges = [
        Server::start("edge-0", &bus, settings()).await,
        Server::start("edge-1", &bus, settings()).await,
    ];
    let _shops = [shop("shop-0", &bus, &sold).await, shop("shop-1", &bus, &sold).await];
    for edge in &edges {
        sees(edge.node.adapter(), 4).await;
    }
    let mut servers = BTreeSet::new();
    for order in 0..16 {
        let key = json!({"idempotencyKey": format!("order-{order}")});
        let mut numbers = Vec::new();
        for edge in &edges {
            let mut ann = edge.client("ann").await.settled().await;
            numbers.push(ask(&mut ann, json!({"item": order}), key.clone()).await);
            let conflict = ask(&mut ann, json!({"item": 99}), key.clone()).await;
            assert_eq!(conflict["errorCode"], "CONFLICT");
        }
        assert_eq!(numbers[0], numbers[1], "the same answer");
        let (server, client, _) = sold.lock().last().cloned().expect("sold");
        assert_eq!(client, "ann");
        servers.insert(server);
    }
    assert_eq!(sold.lock().len(), 16);
    assert_eq!(servers.len(), 2, "keys spread over the servers");
    let mut bob = edges[0].client("bob").await.settled().await;
    let key = json!({"idempotencyKey": "order-0"});
    assert_eq!(ask(&mut bob, json!({"item": 99}), key).await, json!(17));
}
