//! An admin watches clients of real ws-nodes: what it is told, and what a client that nobody watches is not.

mod common;

use common::{Client, Other, PATIENCE, Received, Server, bus, demo, sees, until};
use serde_json::{Value, json};
use tokio::time::timeout;
use ws_node::EdgeSettings;
use wsmesh_adapter::{ClientId, Listener, MemoryBus, Payload, RequestOptions, Room, Target};
use wsmesh_protocol::frame;
use wsmesh_protocol::watching::{
    Code, Details, Sighting, SightingKind, WATCH, WATCHED, WatchOrder, Watched, Watches, WatchesTaken,
};

/// What an admin is, as far as ws-nodes can tell.
struct Admin {
    other: Other,
    watched: Listener,
    number: u64,
    /// What was told and not yet looked at.
    told: std::collections::VecDeque<(String, Sighting)>,
    lost: u64,
}

impl Admin {
    async fn start(name: &str, bus: &MemoryBus) -> Self {
        let other = Other::start(name, "admin", bus).await;
        let watched = other.adapter.listen(WATCHED);
        Self {
            other,
            watched,
            number: 0,
            told: std::collections::VecDeque::new(),
            lost: 0,
        }
    }

    /// Watches exactly these clients from now on. Returns what was refused.
    async fn watch(&mut self, clients: &[&str], payloads: bool) -> Vec<String> {
        self.number += 1;
        let order = |client: &&str| WatchOrder {
            id: format!("watch of {client}"),
            client: (*client).to_owned(),
            payloads,
        };
        let watches = Watches {
            instance: self.other.adapter.instance().0,
            number: self.number,
            watches: clients.iter().map(order).collect(),
        };
        let payload = Payload::new(&watches).expect("JSON");
        let asking = self
            .other
            .adapter
            .ask(Target::Others, WATCH, payload, RequestOptions::default());
        let outcome = timeout(PATIENCE, asking).await.expect("answers").expect("goes out");
        let taken = outcome
            .replies
            .iter()
            .map(|reply| reply.payload.parse::<WatchesTaken>().expect("an answer"));
        taken.flat_map(|taken| taken.refused).collect()
    }

    /// The next sighting, and the server that saw it.
    async fn next(&mut self) -> (String, Sighting) {
        loop {
            if let Some(next) = self.told.pop_front() {
                return next;
            }
            self.take_batch().await;
        }
    }

    /// The next batch. It may have nothing but the number of those that were lost.
    async fn take_batch(&mut self) {
        let event = timeout(PATIENCE, self.watched.next())
            .await
            .expect("in time")
            .expect("listens");
        let watched: Watched = event.payload.parse().expect("a batch");
        self.lost += watched.lost;
        let server = event.sender.to_string();
        self.told
            .extend(watched.sightings.into_iter().map(|one| (server.clone(), one)));
    }

    /// The next one of this kind.
    async fn skip_to(&mut self, kind: SightingKind) -> (String, Details) {
        loop {
            let (server, sighting) = self.next().await;
            if sighting.kind == kind {
                return (server, sighting.details);
            }
        }
    }
}

/// A ws-node, and an admin on its bus.
async fn cluster(settings: EdgeSettings) -> (MemoryBus, Server, Admin) {
    let bus = bus();
    let server = Server::start("edge-1", &bus, settings).await;
    let admin = Admin::start("admin-1", &bus).await;
    sees(server.node.adapter(), 2).await;
    sees(&admin.other.adapter, 2).await;
    (bus, server, admin)
}

fn id(id: &str) -> ClientId {
    ClientId::new(id).expect("valid")
}

fn kinds(told: &[(String, Sighting)]) -> Vec<SightingKind> {
    told.iter().map(|(_, sighting)| sighting.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_seen_from_its_connecting_to_its_end() {
    let (_bus, server, mut admin) = cluster(demo()).await;
    assert!(admin.watch(&["ann"], false).await.is_empty());
    let mut ann = server.client("ann").await;
    let (who, connected) = admin.skip_to(SightingKind::Connected).await;
    assert_eq!((who.as_str(), connected.already), ("edge-1", false));
    assert_eq!(ann.request("echo", json!({"secret": 1})).await, json!({"ok": true}));
    let (_, asked) = admin.skip_to(SightingKind::In).await;
    assert_eq!(
        (asked.event.as_deref(), asked.what.as_deref()),
        (Some("echo"), Some("request"))
    );
    assert_eq!((asked.payload, asked.callback_id), (None, Some("\"r1\"".to_owned())));
    let (_, replied) = admin.skip_to(SightingKind::Reply).await;
    assert_eq!(replied.node, None, "no node carried it");
    assert_eq!((replied.callback_id.as_deref(), replied.code), (Some("\"r1\""), None));
    assert_eq!(replied.connection, connected.connection);
    assert!(replied.queued_ms.is_some() && replied.bytes.is_some_and(|bytes| bytes > 20));
    let dismissal = wsmesh_adapter::Dismissal {
        code: 4010,
        reason: "kicked".into(),
    };
    let dismissed = server.node.adapter().dismiss(&id("ann"), dismissal).await;
    dismissed.expect("may be sent");
    assert_eq!(ann.close_code().await, Some(4010));
    drop(ann);
    let (_, closed) = admin.skip_to(SightingKind::Closed).await;
    assert_eq!(
        (closed.code, closed.reason.as_deref()),
        (Some(Code::Close(4010)), Some("kicked"))
    );
    assert_eq!(closed.connection, connected.connection);
    assert_eq!(admin.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rooms_of_a_client_and_what_it_gets_there_are_seen_with_the_node_that_carried_it() {
    let (_bus, server, mut admin) = cluster(demo()).await;
    let mut ann = server.client("ann").await.settled().await;
    admin.watch(&["ann"], false).await;
    let room = Room::new("chat", "lobby").expect("valid");
    server
        .node
        .adapter()
        .join(&id("ann"), room.clone())
        .await
        .expect("joins");
    let push = frame::push("price", &json!({"secret": 2}));
    admin
        .other
        .adapter
        .push_to_room(&room, "price", &json!({"secret": 2}))
        .await
        .expect("goes out");
    let (_, joined) = admin.skip_to(SightingKind::Joined).await;
    assert_eq!(
        (joined.namespace.as_deref(), joined.room_id.as_deref()),
        (Some("chat"), Some("lobby"))
    );
    assert_eq!(ann.frame().await["event"], "price");
    let mut told = Vec::new();
    while !told
        .iter()
        .any(|(_, sighting): &(String, Sighting)| sighting.kind == SightingKind::Out)
    {
        told.push(admin.next().await);
    }
    let pushed = &told.last().expect("told").1.details;
    assert_eq!(
        (pushed.event.as_deref(), pushed.bytes),
        (Some("price"), Some(push.len() as u64))
    );
    let node = pushed.node.as_deref().expect("another server sent it");
    assert!(["a", "b", "c"].contains(&node), "{node}");
    server.node.adapter().leave(&id("ann"), &room).await.expect("leaves");
    let (_, left) = admin.skip_to(SightingKind::Left).await;
    assert_eq!(left.room_id.as_deref(), Some("lobby"));
    assert_eq!(pushed.payload, None);
    assert_eq!(admin.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_connection_is_seen_though_its_ws_node_stops() {
    let (_bus, server, mut admin) = cluster(demo()).await;
    let mut ann = server.client("ann").await.settled().await;
    admin.watch(&["ann"], false).await;
    let leaving = async {
        let code = ann.close_code().await;
        drop(ann);
        code
    };
    let grace = std::time::Duration::from_secs(10);
    let (code, ()) = tokio::join!(leaving, server.shut_down_within(grace));
    assert_eq!(code, Some(1012));
    let (_, closed) = admin.skip_to(SightingKind::Closed).await;
    assert_eq!(closed.code, Some(Code::Close(1012)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_not_handled_or_not_readable_is_seen_with_the_code() {
    let (_bus, server, mut admin) = cluster(demo()).await;
    let mut ann = server.client("ann").await.settled().await;
    admin.watch(&["ann"], false).await;
    ann.request("nothing of the kind", json!(1)).await;
    let (_, refused) = admin.skip_to(SightingKind::Reply).await;
    assert_eq!(refused.code, Some(Code::Error("UNKNOWN_EVENT".to_owned())));
    ann.emit("nothing either", json!(1)).await;
    let (_, dropped) = admin.skip_to(SightingKind::Dropped).await;
    assert_eq!(dropped.code, Some(Code::Error("UNKNOWN_EVENT".to_owned())));
    ann.send("no frame").await;
    let unreadable = async { while admin.skip_to(SightingKind::In).await.1.what.as_deref() != Some("unreadable") {} };
    timeout(PATIENCE, unreadable).await.expect("is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_here_already_is_seen_with_its_rooms_and_payloads_only_if_asked_for() {
    let (_bus, server, mut admin) = cluster(demo()).await;
    let mut ann = server.client("ann").await.settled().await;
    let room = Room::new("chat", "lobby").expect("valid");
    server.node.adapter().join(&id("ann"), room).await.expect("joins");
    admin.watch(&["ann"], true).await;
    let told = [admin.next().await, admin.next().await];
    assert_eq!(kinds(&told), [SightingKind::Connected, SightingKind::Joined]);
    assert!(told.iter().all(|(_, sighting)| sighting.details.already));
    ann.request("echo", json!({"long": "x".repeat(10_000)})).await;
    let (_, asked) = admin.skip_to(SightingKind::In).await;
    let payload = asked.payload.expect("shown");
    assert_eq!((payload.len(), asked.cut), (4096, true));
    assert!(payload.starts_with("{\"long\":\"xxx"));
    let (_, replied) = admin.skip_to(SightingKind::Reply).await;
    assert_eq!(
        (replied.payload.as_deref(), replied.cut),
        (Some("{\"ok\":true}"), false)
    );

    // It ends, and begins without payloads; another admin sees them.
    admin.watch(&[], true).await;
    admin.watch(&["ann"], false).await;
    ann.request("echo", json!({"secret": 1})).await;
    let (_, asked) = admin.skip_to(SightingKind::In).await;
    assert_eq!(asked.payload, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_followed_to_another_ws_node_and_nobody_else_is_seen() {
    let (bus, one, mut admin) = cluster(demo()).await;
    let two = Server::start("edge-2", &bus, demo()).await;
    sees(&admin.other.adapter, 3).await;
    admin.watch(&["ann"], false).await;
    let (ann, mut bob) = (one.client("ann").await, one.client("bob").await);
    let (who, _) = admin.skip_to(SightingKind::Connected).await;
    assert_eq!(who, "edge-1");
    drop(ann);
    bob.request("echo", json!(1)).await;
    let mut ann = two.client("ann").await;
    ann.request("echo", json!(1)).await;
    let (mut told, mut replied) = (Vec::new(), false);
    while !replied {
        let next = admin.next().await;
        replied = next.1.kind == SightingKind::Reply;
        told.push(next);
    }
    let of = |server: &str| {
        let told: Vec<_> = told.iter().filter(|(name, _)| name == server).cloned().collect();
        kinds(&told)
    };
    let all = [SightingKind::Connected, SightingKind::In, SightingKind::Reply];
    assert_eq!(of("edge-2"), all);
    // Its end there may be told later than all that.
    assert!([SightingKind::Closed].starts_with(&of("edge-1")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_see_one_client_and_the_watches_of_one_that_is_silent_end() {
    let (bus, server, mut admin) = cluster(demo()).await;
    let mut second = Admin::start("admin-2", &bus).await;
    sees(&second.other.adapter, 3).await;
    let mut ann = server.client("ann").await.settled().await;
    admin.watch(&["ann"], false).await;
    second.watch(&["ann"], false).await;
    ann.request("echo", json!(1)).await;
    admin.skip_to(SightingKind::Reply).await;
    second.skip_to(SightingKind::Reply).await;
    let gauge = || {
        let metrics = server.registry.gather();
        let gauge = metrics.iter().find(|family| family.name() == "wsmesh_watches");
        gauge.map(|family| family.get_metric()[0].get_gauge().get_value())
    };
    assert_eq!(gauge(), Some(2.0));
    // Both are silent from now on.
    let ended = async {
        let mut every = tokio::time::interval(std::time::Duration::from_millis(100));
        while gauge() != Some(0.0) {
            every.tick().await;
        }
    };
    timeout(PATIENCE * 4, ended).await.expect("the leases end");
    ann.request("echo", json!(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_to_a_watched_client_all_arrive_and_most_of_them_are_only_counted() {
    const MESSAGES: u64 = 10_000;
    let (_bus, server, mut admin) = cluster(demo()).await;
    let mut ann = server.client("ann").await.settled().await;
    let mut bob = server.client("bob").await.settled().await;
    let room = Room::new("chat", "lobby").expect("valid");
    for client in ["ann", "bob"] {
        server
            .node
            .adapter()
            .join(&id(client), room.clone())
            .await
            .expect("joins");
    }
    admin.watch(&["ann"], true).await;
    let adapter = server.node.adapter().clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            adapter.push_to_room(&room, "price", &number).await.expect("goes out");
        }
    });
    let receiving = async |client: &mut Client| {
        for number in 0..MESSAGES {
            assert_eq!(client.frame().await["payload"], number);
        }
    };
    let both = async { tokio::join!(receiving(&mut ann), receiving(&mut bob)) };
    timeout(PATIENCE * 6, both).await.expect("all arrive, in order");
    sending.await.expect("no panic");
    let mut seen = 0;
    loop {
        let told = admin.told.drain(..);
        seen += told.filter(|(_, sighting)| sighting.kind == SightingKind::Out).count() as u64;
        if seen + admin.lost >= MESSAGES {
            break;
        }
        admin.take_batch().await;
    }
    assert_eq!(seen + admin.lost, MESSAGES);
    assert!(admin.lost > 0 && seen >= 100, "seen {seen}, lost {}", admin.lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_is_seen_to_do_so_before_it_is_closed() {
    let settings = EdgeSettings {
        outbox_bytes: 256 * 1024,
        ..demo()
    };
    let (_bus, server, mut admin) = cluster(settings).await;
    let ann = server.client("ann").await.settled().await;
    admin.watch(&["ann"], false).await;
    let adapter = server.node.adapter().clone();
    let large = Value::from("x".repeat(100_000));
    until("the client is closed", || {
        server.node.stats()()["slowClientsClosed"] != json!(0) || {
            let (adapter, large) = (adapter.clone(), large.clone());
            tokio::spawn(async move { adapter.push(&id("ann"), "big", &large).await });
            false
        }
    })
    .await;
    let (_, slow) = admin.skip_to(SightingKind::Slow).await;
    assert!(slow.bytes.is_some_and(|bytes| bytes > 0), "{slow:?}");
    let (_, dropped) = admin.skip_to(SightingKind::Dropped).await;
    assert!(dropped.count.is_some_and(|frames| frames > 0), "{dropped:?}");
    drop(ann);
    let (_, closed) = admin.skip_to(SightingKind::Closed).await;
    assert_eq!(closed.code, Some(Code::Close(4013)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_seen_with_the_time_that_the_client_took() {
    let settings = EdgeSettings {
        ping_interval: std::time::Duration::from_millis(500),
        ..demo()
    };
    let (_bus, server, mut admin) = cluster(settings).await;
    admin.watch(&["ann"], false).await;
    let mut ann = server.client("ann").await;
    let answering = async {
        loop {
            assert!(!matches!(ann.next().await, Received::Closed(_)));
        }
    };
    let (_, ping) = tokio::select! {
        seen = admin.skip_to(SightingKind::Ping) => seen,
        () = answering => unreachable!("it goes on"),
    };
    assert!(ping.rtt_ms.is_some_and(|ms| ms >= 0.0), "{ping:?}");
}
