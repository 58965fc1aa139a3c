//! What a backend gets.

use serde_json::{Value, json};
use wsmesh_adapter::Payload;

use crate::common::{Other, Server, demo, sees, until};
use crate::server::{Act, Backend, answer};

#[tokio::test(flavor = "multi_thread")]
async fn one_ws_node_without_redis_sends_events_as_cloud_events_and_replies_with_the_answer() {
    let backend = Backend::start(|request| Act::Send(answer(200, &request.body))).await;
    let mut settings = demo();
    settings.rules.push(backend.rule("placeBid"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    let payload = r#"{"n":  1.50, "text": "\u20ac \" \\ €"}"#;
    ann.send(format!(
        r#"{{"event":"placeBid","payload":{payload},"callbackId":"1"}}"#
    ))
    .await;
    let reply = ann.frame().await;
    assert_eq!(reply["payload"], serde_json::from_str::<Value>(payload).expect("JSON"));
    assert_eq!(ann.request("placeBid", json!(null)).await, Value::Null);

    let requests = backend.requests();
    let first = &requests[0];
    assert_eq!(
        (first.path.as_str(), first.body.as_str()),
        ("/placeBid", payload),
        "byte for byte"
    );
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "io.wsmesh.client.event"),
        ("ce-source", "/ws-node/edge"),
        ("ce-subject", "placeBid"),
        ("ce-client", "ann"),
        ("host", &backend.address.to_string()),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    let time: jiff::Timestamp = first.header("ce-time").parse().expect("RFC 3339");
    let age = jiff::Timestamp::now().duration_since(time).as_secs();
    assert!((0..60).contains(&age), "{time}");
    assert!(
        first.all("ce-data").is_empty() && first.all("webhook-id").is_empty(),
        "there is none"
    );
    assert!(!first.header("ce-connection").is_empty());
    assert_eq!(first.header("ce-connection"), requests[1].header("ce-connection"));
    assert_ne!(first.header("ce-id"), requests[1].header("ce-id"));
    assert_eq!(first.connection, requests[1].connection, "connections are kept");
    let names: std::collections::BTreeSet<_> = first.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), first.headers.len(), "no header twice: {:?}", first.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_want_no_reply_are_sent_and_those_with_a_common_beginning_keep_their_names() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let mut settings = demo();
    settings
        .rules
        .extend([backend.rule("bid.*"), backend.rule("bid.place")]);
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await;
    ann.emit("bid.place", json!(1)).await;
    ann.emit("bid.cancel", json!(2)).await;
    assert_eq!(ann.request("bid.auto.on", json!(3)).await, json!({"ok": true}));
    assert_eq!(ann.request("bid", json!(4)).await["errorCode"], "UNKNOWN_EVENT");
    until("both were sent", || backend.requests().len() == 3).await;
    let mut got: Vec<_> = backend
        .requests()
        .iter()
        .map(|request| {
            (
                request.body.clone(),
                request.path.clone(),
                request.header("ce-subject").to_owned(),
            )
        })
        .collect();
    got.sort();
    let expected = [
        ("1", "/bid.place", "bid.place"),
        ("2", "/bid.*", "bid.cancel"),
        ("3", "/bid.*", "bid.auto.on"),
    ];
    assert_eq!(
        got,
        expected.map(|(body, path, subject)| (body.into(), path.into(), subject.into()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_by_the_client_has_the_same_id_and_its_key_on_whichever_ws_node() {
    let backend = Backend::start(|_| Act::Send(answer(200, "1"))).await;
    let bus = crate::common::bus();
    for name in ["edge-1", "edge-2"] {
        let mut settings = demo();
        settings.rules.push(backend.rule("buy"));
        let server = Server::start(name, &bus, settings).await;
        let mut ann = server.client("ann").await;
        for (id, key) in [("1", "k 1ä"), ("2", "k2")] {
            let request = json!({"event": "buy", "payload": 1, "callbackId": id, "idempotencyKey": key});
            ann.send(request.to_string()).await;
            assert_eq!(ann.frame().await["payload"], 1);
        }
    }
    let requests = backend.requests();
    let ids: Vec<_> = requests.iter().map(|request| request.header("ce-id")).collect();
    assert_eq!((ids[0], ids[1]), (ids[2], ids[3]));
    assert_ne!(ids[0], ids[1]);
    assert_eq!(requests[0].header("idempotency-key"), "k%201%C3%A4");
    assert_eq!(requests[3].header("idempotency-key"), "k2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_connection_travels_with_its_events() {
    let backend = Backend::start(|_| Act::Send(answer(204, ""))).await;
    let mut settings = demo();
    settings.rules.push(backend.rule("ask"));
    let server = Server::alone(settings).await;
    let mut ann = server.client("ann").await.settled().await;
    let adapter = server.node.adapter();
    let client = "ann".try_into().expect("valid");
    let context = adapter.client(&client).await.expect("known").remove(0);
    let data = json!({"team": "röt", "n": [1, "\r\n"]});
    assert!(adapter.set_client_data(&client, Some(&data)).await.expect("set"));
    assert_eq!(ann.request("ask", json!(1)).await, json!({"ok": true}));
    let request = &backend.requests()[0];
    assert_eq!(request.header("ce-connection"), context.connection);
    let expected = "{%22n%22:[1,%22\\r\\n%22],%22team%22:%22r%C3%B6t%22}";
    assert_eq!(request.header("ce-data"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_events_with_a_common_beginning_under_their_own_names() {
    let bus = crate::common::bus();
    let mut settings = demo();
    let service = "auction".try_into().expect("valid");
    settings.rules.push(ws_node::Rule::to_service("bid.*", service));
    let server = Server::start("edge", &bus, settings).await;
    let auction = Other::start("auction-1", "auction", &bus).await;
    sees(server.node.adapter(), 2).await;
    auction.adapter.on("bid.place", |event| async move {
        let forwarded: Value = serde_json::from_slice(&event.payload.to_json().expect("JSON")).expect("an object");
        let name = Payload::new(&forwarded["event"]).expect("JSON");
        event.reply(name).await.expect("replied");
    });
    let mut ann = server.client("ann").await.settled().await;
    assert_eq!(ann.request("bid.place", json!(1)).await, "bid.place");
    assert_eq!(ann.request("bid.other", json!(1)).await["errorCode"], "UNKNOWN_EVENT");
}
