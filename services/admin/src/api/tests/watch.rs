//! Watching a client, with ws-nodes that are only as much of one as watches need.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt;
use wsmesh_adapter::{ClientId, MemoryBus, Payload, ServerName, Target};
use wsmesh_protocol::watching::{
    Code, Details, MAX_WATCHES, Sighting, SightingKind, WATCH, WATCHED, WatchOrder, Watched, Watches, WatchesTaken,
};

use super::super::address::OfClient;
use super::super::query::Params;
use super::super::*;
use super::fixture::{Cluster, Edge, get, timeout, until};
use crate::access::Role;

/// A ws-node, as far as admin can tell.
struct Node {
    edge: Edge,
    told: Arc<Mutex<BTreeMap<ServerName, Watches>>>,
}

impl Node {
    async fn start(cluster: &Cluster, name: &str) -> Self {
        let edge = cluster.edge(name).await;
        let told: Arc<Mutex<BTreeMap<ServerName, Watches>>> = Arc::default();
        let hearing = Arc::clone(&told);
        edge.adapter.on_request(WATCH, move |event| {
            let mut watches: Watches = event.payload.parse().expect("watches");
            let mut told = hearing.lock();
            let others = told.iter().filter(|(holder, _)| **holder != event.sender);
            let room = MAX_WATCHES - others.map(|(_, watches)| watches.watches.len()).sum::<usize>();
            let refused = watches.watches.split_off(room.min(watches.watches.len()));
            told.insert(event.sender, watches);
            drop(told);
            let refused = refused.into_iter().map(|order| order.id).collect();
            std::future::ready(Ok(WatchesTaken { refused }))
        });
        Self { edge, told }
    }

    /// What all admins watch.
    fn watches(&self) -> Vec<(ServerName, WatchOrder)> {
        let told = self.told.lock();
        let all = told
            .iter()
            .flat_map(|(holder, told)| told.watches.iter().map(|order| (holder.clone(), order.clone())));
        all.collect()
    }

    /// Sends this to everyone who watches the client.
    async fn saw(&self, client: &str, sightings: &[Sighting], lost: u64, seen: u64) {
        for (holder, order) in self.watches() {
            if order.client == client {
                let watched = Watched {
                    id: order.id,
                    sightings: sightings.to_vec(),
                    lost,
                    seen,
                };
                let payload = Payload::new(&watched).expect("JSON");
                timeout(self.edge.adapter.emit(Target::Server(holder), WATCHED, payload))
                    .await
                    .expect("goes out");
            }
        }
    }
}

fn sighting(kind: SightingKind, at_ms: i64, details: Details) -> Sighting {
    Sighting { kind, at_ms, details }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// An open stream.
struct Events {
    data: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(router: &Router, path: &str) -> Self {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = timeout(router.clone().oneshot(request)).await.expect("infallible");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            data: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let event = field("event: ").zip(field("data: "));
                self.text = rest.to_owned();
                if let Some((name, data)) = event {
                    return Some((name, serde_json::from_str(&data).expect("JSON")));
                }
            }
            let data = self.data.next().await?.expect("goes on");
            self.text.push_str(std::str::from_utf8(&data).expect("text"));
        }
    }

    /// The next event of this name.
    async fn skip_to(&mut self, wanted: &str) -> Value {
        let finding = async {
            loop {
                match self.next().await {
                    Some((name, data)) if name == wanted => return data,
                    Some(_) => {}
                    None => panic!("the stream ended without {wanted}"),
                }
            }
        };
        timeout(finding).await
    }
}

#[tokio::test]
async fn a_watch_waits_for_a_client_that_is_not_connected_and_payloads_are_off() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let (name, begun) = timeout(events.next()).await.expect("begins");
    assert_eq!(name, "watching");
    assert_eq!((&begun["client"], &begun["payloads"]), (&json!("ann"), &json!(false)));
    assert_eq!(
        (&begun["servers"], &begun["missing"]),
        (&json!(["ws-node-1"]), &json!([]))
    );
    let until: Timestamp = begun["until"].as_str().expect("text").parse().expect("a time");
    let lasts = until.duration_since(Timestamp::now()).as_secs();
    assert!((800..=900).contains(&lasts), "{lasts} s");
    let [(_, order)] = &*node.watches() else {
        panic!("one watch")
    };
    assert_eq!((order.client.as_str(), order.payloads), ("ann", false));

    let details = Details {
        event: Some("bid".to_owned()),
        bytes: Some(40),
        queued_ms: Some(0.5),
        ..Details::default()
    };
    node.saw("ann", &[sighting(SightingKind::In, now_ms(), details)], 0, 1)
        .await;
    let seen = events.skip_to("in").await;
    assert_eq!(seen["server"], "ws-node-1");
    assert_eq!(
        (&seen["event"], &seen["bytes"], &seen["queuedMs"]),
        (&json!("bid"), &json!(40), &json!(0.5))
    );
    assert_eq!(seen.get("payload"), None);
}

#[tokio::test]
async fn a_client_is_followed_to_another_ws_node_in_the_order_of_time() {
    let cluster = Cluster::new().await;
    let (one, two) = (
        Node::start(&cluster, "ws-node-1").await,
        Node::start(&cluster, "ws-node-2").await,
    );
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let closed = Details {
        code: Some(Code::Close(1006)),
        ..Details::default()
    };
    let now = now_ms();
    two.saw(
        "ann",
        &[sighting(SightingKind::Connected, now, Details::default())],
        0,
        1,
    )
    .await;
    one.saw("ann", &[sighting(SightingKind::Closed, now - 100, closed)], 0, 1)
        .await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let (name, data) = timeout(events.next()).await.expect("goes on");
        // One of them may have been asked before it listened.
        if name != "servers" {
            seen.push((name, data["server"].clone()));
        }
    }
    let text = |name: &str, server: Value| (name.to_owned(), server);
    let expected = [
        text("watching", Value::Null),
        text("closed", json!("ws-node-1")),
        text("connected", json!("ws-node-2")),
    ];
    assert_eq!(seen, expected);
    // A ws-node that comes later watches, too.
    let three = Node::start(&cluster, "ws-node-3").await;
    while events.skip_to("servers").await["servers"] != json!(["ws-node-1", "ws-node-2", "ws-node-3"]) {}
    assert_eq!(three.watches().len(), 1);
}

#[tokio::test]
async fn a_ws_node_that_dies_is_reported_and_one_that_hangs_is_named() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let hung = cluster.edge("ws-node-2").await;
    // It takes every request and answers none.
    hung.adapter.on(WATCH, |event| async move {
        std::future::pending::<()>().await;
        drop(event);
    });
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let begun = events.skip_to("watching").await;
    assert_eq!(begun["servers"], json!(["ws-node-1"]));
    assert_eq!(begun["missing"][0]["server"], "ws-node-2", "{begun}");
    node.edge.crash();
    let gone = events.skip_to("gone").await;
    assert_eq!((&gone["server"], &gone["why"]), (&json!("ws-node-1"), &json!("lost")));
}

#[tokio::test]
async fn the_twenty_first_watch_of_a_cluster_is_refused() {
    let bus = MemoryBus::new(["redis-1", "redis-2"]).expect("good ids");
    let (cluster, other) = (
        Cluster::of("admin-1", bus.clone()).await,
        Cluster::of("admin-2", bus).await,
    );
    let node = Node::start(&cluster, "ws-node-1").await;
    let knows = async || other.admin.servers().iter().filter(|server| server.counted).count() == 3;
    until("both admins know the ws-node", knows).await;
    let (one, two) = (cluster.open(), other.open());
    let mut open = Vec::new();
    for number in 0..MAX_WATCHES {
        let router = if number % 2 == 0 { &one } else { &two };
        open.push(Events::open(router, &format!("/api/v1/clients/c{number}/watch")).await);
    }
    for router in [&one, &two] {
        let refused = get(router, "/api/v1/clients/ann/watch").await;
        let detail = refused.problem(429);
        assert_eq!(refused.json()["code"], "too-many-watches");
        assert!(detail.contains("20 clients"), "{detail}");
    }
    // Both watch one client, and each viewer is told.
    open.truncate(MAX_WATCHES - 2);
    until("the watches have ended", async || {
        node.watches().len() == MAX_WATCHES - 2
    })
    .await;
    let mut same = [
        Events::open(&one, "/api/v1/clients/ann/watch").await,
        Events::open(&two, "/api/v1/clients/ann/watch").await,
    ];
    node.saw(
        "ann",
        &[sighting(SightingKind::Ping, now_ms(), Details::default())],
        0,
        1,
    )
    .await;
    for events in &mut same {
        assert_eq!(events.skip_to("ping").await["server"], "ws-node-1");
    }
}

#[tokio::test]
async fn a_viewer_that_reads_slowly_loses_events_and_is_told_how_many() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let many: Vec<_> = (0..100)
        .map(|_| sighting(SightingKind::Out, now_ms(), Details::default()))
        .collect();
    for batch in 1..=50 {
        node.saw("ann", &many, 0, batch * 100).await;
    }
    // It comes last, and is as lost as the others.
    node.saw("ann", &[], 0, 5000).await;
    let (mut told, mut lost) = (0, 0);
    while told + lost < 5000 {
        match timeout(events.next()).await.expect("goes on") {
            (name, _) if name == "out" => told += 1,
            (name, data) if name == "lost" => lost += data["count"].as_u64().expect("a number"),
            _ => {}
        }
    }
    assert_eq!(told + lost, 5000);
    assert!(lost >= 1000, "told {told}, lost {lost}");
}

#[tokio::test]
async fn what_a_ws_node_left_out_or_what_got_lost_on_the_way_is_counted() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let one = || [sighting(SightingKind::Out, now_ms(), Details::default())];
    node.saw("ann", &one(), 7, 8).await;
    let lost = events.skip_to("lost").await;
    assert_eq!((&lost["server"], &lost["count"]), (&json!("ws-node-1"), &json!(7)));
    // A batch of five is missing.
    node.saw("ann", &one(), 0, 14).await;
    assert_eq!(events.skip_to("lost").await["count"], 5);
    // The ws-node forgot the watch and counts again.
    node.saw("ann", &one(), 0, 1).await;
    let (name, _) = timeout(async { (events.skip_to("out").await, events.next().await.expect("goes on")).1 }).await;
    assert_eq!(name, "out");
}

#[tokio::test]
async fn a_batch_that_is_for_nobody_or_makes_no_sense_does_nothing() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    let (holder, order) = node.watches().remove(0);
    let bad_time = sighting(SightingKind::Ping, i64::MAX, Details::default());
    let of = |id: &str| json!({"id": id, "sightings": [bad_time], "lost": 0, "seen": 1});
    let huge = json!({"id": order.id, "sightings": [], "lost": u64::MAX, "seen": 0});
    let ids = ["", "-", "1-1", "nobody", "18446744073709551615-1"].map(of);
    for payload in ids.into_iter().chain([json!(7), json!({"id": 7}), huge, of(&order.id)]) {
        let payload = Payload::new(&payload).expect("JSON");
        let emitted = node.edge.adapter.emit(Target::Server(holder.clone()), WATCHED, payload);
        timeout(emitted).await.expect("goes out");
    }
    let ping = events.skip_to("ping").await;
    assert_eq!(ping["server"], "ws-node-1", "the only one that is for this watch");
}

#[tokio::test]
async fn a_client_with_an_odd_id_can_be_watched_and_one_that_cannot_be_is_refused() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let open = cluster.open();
    let ids = [
        ("messages", "messages"),
        ("query", "query"),
        ("a%2Fb%3F%25%20%C3%BC%F0%9F%98%80", "a/b?% ü😀"),
    ];
    for (path, id) in ids {
        let mut events = Events::open(&open, &format!("/api/v1/clients/{path}/watch?payloads=true")).await;
        assert_eq!(events.skip_to("watching").await["client"], id);
        let (_, order) = node.watches().pop().expect("a watch");
        assert_eq!((order.client.as_str(), order.payloads), (id, true));
    }
    let long = "x".repeat(10_000);
    for bad in [
        "/api/v1/clients/%FF/watch",
        &format!("/api/v1/clients/{long}/watch"),
        "/api/v1/clients/ann/watch?payloads=perhaps",
        "/api/v1/clients/ann/watch?payload=true",
    ] {
        get(&open, bad).await.problem(400);
    }
}

#[tokio::test]
async fn only_an_operator_sees_payloads() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    for (role, may) in [(Role::Viewer, false), (Role::Publisher, false), (Role::Operator, true)] {
        let mut caller = Caller::demo();
        caller.role = role;
        let watching = watch::watch(
            State(cluster.api(None)),
            caller,
            OfClient(ClientId::new("ann").expect("an id")),
            Params(watch::Wanted { payloads: true }),
        );
        match timeout(watching).await {
            Ok(response) => assert!(may && response.status() == 200, "{role}"),
            Err(problem) => {
                assert!(!may, "{role}");
                assert_eq!(problem.status(), 403);
                assert!(problem.detail().contains("operator"), "{}", problem.detail());
                assert_eq!(node.watches(), [], "nothing is watched");
            }
        }
    }
    // Each is recorded, those that may not, too.
    let records = get(&cluster.open(), "/api/v1/audit").await.json();
    let records = records["records"].as_array().expect("records");
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["action"].as_str().expect("text"),
                record["status"].as_u64().expect("a status"),
            )
        })
        .collect();
    assert_eq!(told.len(), 2, "two may not, and are one sum: {records:?}");
    for status in [200, 403] {
        assert!(told.contains(&("watch with payloads", status)), "{told:?}");
    }
}

#[tokio::test]
async fn a_watch_ends_when_its_viewer_leaves_and_when_admin_ends() {
    let cluster = Cluster::new().await;
    let node = Node::start(&cluster, "ws-node-1").await;
    let open = cluster.open();
    let left = Events::open(&open, "/api/v1/clients/ann/watch").await;
    let mut stays = Events::open(&open, "/api/v1/clients/bob/watch").await;
    assert_eq!(node.watches().len(), 2);
    drop(left);
    until("the ws-node is told", async || node.watches().len() == 1).await;
    cluster.closing.cancel();
    assert_eq!(stays.skip_to("ended").await["why"], "shutting-down");
    assert_eq!(timeout(stays.next()).await, None);
    drop(stays);
    until("the ws-node is told", async || node.watches().is_empty()).await;
    get(&open, "/api/v1/clients/bob/watch").await.problem(503);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_after_a_quarter_of_an_hour() {
    let cluster = Cluster::new().await;
    let begun = tokio::time::Instant::now();
    let mut events = Events::open(&cluster.open(), "/api/v1/clients/ann/watch").await;
    assert_eq!(events.next().await.expect("begins").0, "watching");
    let (name, data) = events.next().await.expect("goes on");
    assert_eq!((name.as_str(), &data["why"]), ("ended", &json!("time-is-up")));
    assert!(begun.elapsed() >= Duration::from_secs(900));
    assert_eq!(events.next().await, None);
}
