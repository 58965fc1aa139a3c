//! What the adapter promises about the servers of a cluster and what they know of each other, on both buses.

use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Missing, Options, Payload, RequestError, RequestOptions, Target};

use crate::support::ground::{Ground, suite};
use crate::support::*;

suite![
    the_cluster_answers_for_rooms_clients_and_totals,
    a_server_tells_what_it_has_counted_and_what_its_parts_report,
    a_preset_room_is_subscribed_without_members,
    of_two_servers_with_one_name_the_younger_steps_back,
    the_roster_of_a_server_shows_when_the_server_itself_starts_to_count,
];

async fn the_cluster_answers_for_rooms_clients_and_totals(ground: Ground) {
    let (one, two) = ground.pair().await;
    let (_ann, _bob) = (one.client("ann").await, two.client("bob").await);
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    two.adapter.join(&client("bob"), room("1")).await.expect("joined");
    let rooms = one.adapter.cluster_room(&room("1")).await;
    assert!(rooms.complete);
    let parts = by_server(rooms.servers);
    assert_eq!(
        (&parts["one"].members[..], &parts["two"].members[..]),
        (&[client("ann")][..], &[client("bob")][..])
    );
    let bob = by_server(one.adapter.cluster_client(&client("bob")).await.servers);
    assert!(!bob["one"].connected && bob["two"].connected);
    assert_eq!(bob["two"].rooms, [room("1")]);
    let listed = one.adapter.cluster_rooms(None, "").await.servers;
    assert_eq!(listed.iter().map(|(_, part)| part.rooms.len()).sum::<usize>(), 2);
    let totals = one.adapter.cluster_stats().await;
    assert_eq!(totals.servers.iter().map(|(_, part)| part.clients).sum::<u64>(), 2);
    assert!(totals.servers.iter().all(|(_, part)| part.nodes.len() == 3));
}

async fn a_server_tells_what_it_has_counted_and_what_its_parts_report(ground: Ground) {
    let (one, two) = ground.pair().await;
    let mut ann = one.client("ann").await;
    one.adapter.join(&client("ann"), room("1")).await.expect("joined");
    one.adapter
        .add_report("edge", || serde_json::json!({"framesIn": 7, "labels": {"zone": "a"}}));
    for _ in 0..10 {
        two.adapter.push_to_room(&room("1"), "say", &1).await.expect("accepted");
        ann.frame().await;
    }
    let parts = by_server(two.adapter.cluster_stats_within(Duration::from_secs(10)).await.servers);
    let (one, two) = (&parts["one"], &parts["two"]);
    assert!(
        two.counters.published >= 10 && two.counters.published_bytes > 10 * 20,
        "{:?}",
        two.counters
    );
    assert!(
        one.counters.received >= 10 && one.counters.received_bytes > 10 * 20,
        "{:?}",
        one.counters
    );
    assert!(one.counters.lag.iter().sum::<u64>() >= 10 && one.clock_ms > 0);
    let namespace = &one.namespaces[0];
    assert_eq!((namespace.rooms, namespace.members, namespace.messages), (1, 1, 10));
    assert_eq!(one.top_rooms.by_members[0].room, room("1"));
    assert_eq!(one.top_rooms.by_messages[0].messages, 10);
    let report: serde_json::Value = serde_json::from_str(one.reports["edge"].get()).expect("JSON");
    assert_eq!(report["labels"]["zone"], "a");
    assert!(two.reports.is_empty());
}

async fn a_preset_room_is_subscribed_without_members(ground: Ground) {
    let topics = |options: &Options| {
        let families = options.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "wsmesh_topics")
            .expect("a gauge");
        family.get_metric()[0].get_gauge().get_value()
    };
    let plain = ground.options("plain", "ws-node");
    let preset = Options {
        preset_rooms: vec![room("lobby"), room("news")],
        ..ground.options("preset", "ws-node")
    };
    let _servers = (Server::ready(plain.clone()).await, Server::ready(preset.clone()).await);
    until("two more", || topics(&preset) - topics(&plain) == 2.0).await;
}

async fn of_two_servers_with_one_name_the_younger_steps_back(ground: Ground) {
    let older = Server::ready(ground.options("same", "ws-node")).await;
    let mut younger = Server::start(ground.options("same", "ws-node"));
    let error = soon("the younger is refused", younger.driver.failed()).await;
    assert!(
        error.to_string().contains("another live server is called same"),
        "{error}"
    );
    younger.stop().await;
    assert!(older.adapter.is_ready());
    older.stop().await;
    soon(
        "a restart under the same name",
        Server::ready(ground.options("same", "ws-node")),
    )
    .await;
}

async fn the_roster_of_a_server_shows_when_the_server_itself_starts_to_count(ground: Ground) {
    // Alone, so that no news from other servers updates it.
    let one = Server::start(ground.options("one", "game-logic"));
    let mut roster = one.adapter.roster();
    let counts = roster.wait_for(|servers| {
        let me = servers.iter().find(|server| server.name == *one.adapter.name());
        me.is_some_and(|me| me.counted)
    });
    soon("it sees itself counted", counts).await.expect("the adapter runs");
    drop(roster);
    one.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_never_answers_does_not_prevent_the_goodbye() {
    let (one, two) = Ground::memory().pair().await;
    two.adapter.on("slow", |event| async move {
        std::future::pending::<()>().await;
        drop(event);
    });
    let mut begun = two.adapter.listen("slow");
    let adapter = one.adapter.clone();
    let asking = tokio::spawn(async move {
        let options = RequestOptions {
            timeout: Some(Duration::from_secs(60)),
            ..RequestOptions::default()
        };
        let target = Target::Server(server("two"));
        adapter.call(target, "slow", Payload::null(), options).await
    });
    let _event = soon("the request", begun.next()).await.expect("listening");
    let (start, within) = (Instant::now(), Duration::from_secs(1));
    two.driver.shutdown(within).await;
    assert!(start.elapsed() <= within, "{:?}", start.elapsed());
    // Much earlier than a server that is only silent is forgotten.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(one.adapter.servers().len(), 1);
    let answer = asking.await.expect("no panic").expect_err("it went away");
    assert!(
        matches!(answer, RequestError::Missing { why: Missing::Gone, .. }),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_panics_costs_its_answer_and_nothing_else() {
    let (one, two) = crate::support::ground::Ground::memory().pair().await;
    two.adapter.add_report("broken", || panic!("a defect"));
    for _ in 0..3 {
        let found = soon("the totals", one.adapter.cluster_stats()).await;
        let missing: Vec<_> = found.missing.iter().map(|(server, _)| server.as_str()).collect();
        assert_eq!((missing, found.servers.len()), (vec!["two"], 1), "{found:?}");
    }
    let mut bob = two.client("bob").await;
    bob_is_reached(&one, &mut bob).await;
    one.stop().await;
    two.stop().await;
}
