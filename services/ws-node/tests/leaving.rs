//! Clients are sent away: in waves when a server stops, a few when it has too many, and old connections one by one.

mod common;

use std::time::{Duration, Instant};

use common::{Client, Other, Received, Server, bus, demo, sees};
use futures_util::SinkExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Adapter, ClientId, Frame, Payload, RequestOptions, ServerEvent, ServerName, Target};
use wsmesh_protocol::CloseCode;

const CLIENTS: usize = 60;

/// Connects this many clients.
async fn crowd(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(server.client(&format!("client-{number}")).await.settled().await);
    }
    clients
}

/// How long after `start` each was sent away, and after how many milliseconds it is to come back.
async fn farewells(clients: Vec<Client>, start: Instant) -> Vec<(Duration, u64)> {
    let leaving = clients.into_iter().map(|mut client| async move {
        match client.next().await {
            Received::Closed(Some((1012, reason))) => {
                (start.elapsed(), CloseCode::parse_delay(&reason).expect("a delay"))
            }
            other => panic!("{other:?}"),
        }
    });
    join_all(leaving).await
}

async fn order(by: &Other, event: &str, payload: Value) -> Value {
    let edge = ServerName::new("edge").expect("valid");
    let reply = by
        .adapter
        .call(
            Target::Server(edge),
            event,
            Payload::new(&payload).expect("JSON"),
            RequestOptions::default(),
        )
        .await;
    reply.expect("answered").payload.parse().expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_sends_clients_away_evenly_each_with_a_delay_of_its_own() {
    let settings = EdgeSettings {
        drain_rate: 30,
        drain_time: Duration::from_secs(2),
        reconnect_spread: Duration::from_secs(1),
        shards: 1,
        ..demo()
    };
    let server = Server::alone(settings).await;
    let clients = crowd(&server).await;
    let start = Instant::now();
    let (farewells, ()) = tokio::join!(
        farewells(clients, start),
        server.shut_down_within(Duration::from_secs(9))
    );
    let waves = |from: u64, to: u64| {
        let during = |at: &Duration| (from..to).contains(&(at.as_millis() as u64));
        farewells.iter().filter(|(at, _)| during(at)).count()
    };
    // Within 1.6 of the 2 s; the rest is for clients whose requests are still being answered.
    assert!(
        waves(0, 900) > CLIENTS / 5 && waves(900, 3000) > CLIENTS / 5,
        "{farewells:?}"
    );
    let mut delays: Vec<u64> = farewells.iter().map(|(_, delay)| *delay).collect();
    delays.sort_unstable();
    delays.dedup();
    assert!(
        delays.len() > CLIENTS / 2 && delays[0] < 400 && delays[delays.len() - 1] > 600,
        "{delays:?}"
    );
    assert!(delays.iter().all(|delay| *delay <= 2000));
}

#[tokio::test]
async fn settings_that_no_drain_could_work_with_are_refused_at_the_start() {
    let name = |text| wsmesh_adapter::ServiceName::new(text).expect("valid");
    let mut options = wsmesh_adapter::Options::new(ServerName::new("edge").expect("valid"), name("ws-node"));
    options.bus = wsmesh_adapter::Bus::Memory(bus());
    let settings = EdgeSettings {
        drain_rate: 0,
        max_connection_age: Duration::MAX,
        ..demo()
    };
    let refused = WsNode::start(options, settings).err().expect("refused").to_string();
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(
        lines,
        [
            "drain_rate: is too small: write at least 1",
            "max_connection_age: is too long: write 0s (no limit), or at most 8784h"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_its_client_is_sent_away() {
    for (reply, shards) in [("relay", 1), ("relay", 2), ("direct", 1), ("direct", 2)] {
        let bus = bus();
        let rule = json!({"event": "work", "service": "worker", "reply": reply});
        let settings = EdgeSettings {
            rules: vec![serde_json::from_value(rule).expect("a rule")].into(),
            request_timeout: Duration::from_secs(2),
            shards,
            ..demo()
        };
        let server = Server::start("edge", &bus, settings).await;
        let worker = Other::start("worker", "worker", &bus).await;
        sees(server.node.adapter(), 2).await;
        let adapter = worker.adapter.clone();
        worker.adapter.on("work", move |event| work(adapter.clone(), event));
        let mut client = server.client("ann").await.settled().await;
        client.send(r#"{"event":"work","payload":1,"callbackId":"7"}"#).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let leaving = tokio::spawn(server.shut_down_within(Duration::from_secs(7)));
        assert_eq!(
            client.next().await,
            Received::Frame(json!({"payload": "done", "callbackId": "7"})),
            "{reply}, {shards} shards"
        );
        assert_eq!(client.close_code().await, Some(1012));
        leaving.await.expect("ends");
    }
}

/// Takes its time before it answers.
async fn work(adapter: Adapter, event: ServerEvent) {
    tokio::time::sleep(Duration::from_millis(700)).await;
    if event.is_request() {
        return event.reply(Payload::new(&"done").expect("JSON")).await.expect("sent");
    }
    let asked: Value = event.payload.parse().expect("as agreed");
    let client = ClientId::new(asked["client"].as_str().expect("a client")).expect("valid");
    let reply = json!({"payload": "done", "callbackId": asked["callbackId"]});
    adapter
        .to_client(&client, Frame::new(reply.to_string()))
        .await
        .expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_on_request_refuses_and_sends_away_clients_until_it_is_ended() {
    let bus = bus();
    let server = Server::start("edge", &bus, demo()).await;
    let admin = Other::start("admin", "admin", &bus).await;
    sees(&admin.adapter, 2).await;
    let clients = crowd(&server).await;
    let said = order(&admin, "wsmesh.drain", json!({"withinMs": 500})).await;
    assert_eq!(
        (&said["draining"], &said["connections"]),
        (&json!(true), &json!(CLIENTS))
    );
    assert!(said["withinMs"].as_u64() <= Some(500), "{said}");
    assert!(server.node.readiness()().is_err());
    let refused = Client::connect(&format!("ws://{}/?id=late", server.address)).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("503")));
    farewells(clients, Instant::now()).await;
    common::until("it is empty", || server.node.stats()()["connections"] == 0).await;
    let said = order(&admin, "wsmesh.resume", json!({})).await;
    assert_eq!(said, json!({"draining": false, "connections": 0}));
    assert!(server.node.readiness()().is_ok());
    let mut back = server.client("late").await.settled().await;
    assert_eq!(back.request("echo", json!(1)).await, json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stayed_through_an_ended_drain_are_served_as_before() {
    let bus = bus();
    let settings = EdgeSettings {
        ping_interval: Duration::from_millis(400),
        close_timeout: Duration::from_millis(400),
        drain_rate: 1,
        ..demo()
    };
    let server = Server::start("edge", &bus, settings).await;
    let admin = Other::start("admin", "admin", &bus).await;
    sees(&admin.adapter, 2).await;
    let mut clients = crowd(&server).await;
    order(&admin, "wsmesh.drain", json!({})).await;
    order(&admin, "wsmesh.resume", json!({})).await;
    // Of the clients that stayed, one is polled and so answers pings. The others do not.
    let stayed = async {
        loop {
            let mut client = clients.pop().expect("some stayed");
            let asked = Message::text(r#"{"event":"echo","payload":null,"callbackId":"1"}"#);
            if client.socket.send(asked).await.is_ok() && matches!(client.next().await, Received::Frame(_)) {
                break client;
            }
        }
    };
    let mut polled = stayed.await;
    let is_polled = tokio::spawn(async move { polled.next().await });
    common::until("only the client that answers pings is left", || {
        server.node.stats()()["connections"] == 1
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.node.stats()()["connections"], 1);
    is_polled.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_connections_are_replaced_one_by_one() {
    let settings = EdgeSettings {
        max_connection_age: Duration::from_secs(1),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let start = Instant::now();
    let clients = crowd(&server).await;
    let farewells = farewells(clients, start).await;
    let ends: Vec<u64> = farewells.iter().map(|(at, _)| at.as_millis() as u64).collect();
    assert!(ends.iter().all(|at| *at >= 850), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_sends_idle_clients_away_and_no_busy_ones() {
    let bus = bus();
    let settings = EdgeSettings {
        rebalance_rate: 1000,
        ..demo()
    };
    let server = Server::start("edge", &bus, settings).await;
    let admin = Other::start("admin", "admin", &bus).await;
    sees(&admin.adapter, 2).await;
    let mut clients = crowd(&server).await;
    // No client has been idle for long enough yet.
    assert_eq!(
        order(&admin, "wsmesh.rebalance", json!({"clients": 5})).await,
        json!({"clients": 5})
    );
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(server.node.stats()()["connections"], CLIENTS);
    let mut busy = clients.split_off(CLIENTS - 10);
    for client in &mut busy {
        client.request("echo", json!(1)).await;
    }
    order(&admin, "wsmesh.rebalance", json!({"clients": 1000})).await;
    // Clients that are to leave within the second, but become active before that, may stay.
    let mut meanwhile = clients.split_off(CLIENTS - 20);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for client in &mut meanwhile {
        client.emit("echo", json!(1)).await;
    }
    farewells(clients, Instant::now()).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut stayed = 0;
    for client in &mut meanwhile {
        // A closed client cannot send.
        let asked = Message::text(r#"{"event":"echo","payload":null,"callbackId":"still here"}"#);
        let _closed = client.socket.send(asked).await;
        stayed += usize::from(matches!(client.next().await, Received::Frame(_)));
    }
    assert!(stayed >= 7, "{stayed} of 10");
    for client in &mut busy {
        assert_eq!(client.request("echo", json!(1)).await, json!({"ok": true}));
    }
}
