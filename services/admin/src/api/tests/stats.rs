//! Statistics of the whole cluster, their history and the stream: with servers that hang, restart or are old, and with viewers that
//! are many or slow.

use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::super::*;
use super::fixture::{Cluster, Edge, get, timeout, until};
use super::openapi;
use crate::statistics::Outside;

const STATS: &str = "/api/v1/stats";

/// An open stream of events.
struct Events(BodyDataStream, String);

impl Events {
    async fn of(router: &Router) -> Result<Self, Response> {
        use tower::ServiceExt;
        let request = axum::http::Request::get("/api/v1/events").body(axum::body::Body::empty());
        let response = router.clone().oneshot(request.expect("a request"));
        let response = timeout(response).await.expect("infallible");
        if response.status() != StatusCode::OK {
            return Err(response);
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self(response.into_body().into_data_stream(), String::new()))
    }

    /// The name and the data of the next event; none at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.1 = rest;
                let Some((name, data)) = event.split_once('\n') else {
                    continue;
                };
                let name = name.strip_prefix("event: ").expect("a name").to_owned();
                let data = data.strip_prefix("data: ").expect("one line of data");
                return Some((name, serde_json::from_str(data).expect("JSON")));
            }
            let part = timeout(self.0.next()).await?.expect("a body");
            self.1.push_str(std::str::from_utf8(&part).expect("text"));
        }
    }

    /// The data of the next event with this name.
    async fn named(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == wanted {
                return data;
            }
        }
    }
}

/// Reports what a ws-node reports, with these numbers of frames.
fn reports(edge: &Edge, frames: impl Fn() -> u64 + Send + Sync + 'static) {
    edge.adapter.add_report("edge", move || {
        json!({
            "framesIn": frames(),
            "closes": {"1000": frames(), "0": frames()},
            "errors": {"TIMEOUT": frames()},
            "slowClients": [{"client": "ann", "queuedBytes": 70_000, "queuedMs": 12}],
        })
    });
}

fn server<'a>(stats: &'a Value, name: &str) -> &'a Value {
    let mut servers = stats["servers"].as_array().expect("a list").iter();
    servers.find(|server| server["name"] == name).expect("the server")
}

#[tokio::test]
async fn what_servers_count_becomes_rates_by_server_service_and_code() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let begun = Instant::now();
    reports(&edge, move || begun.elapsed().as_millis() as u64);
    let open = cluster.open();
    until("there are rates", async || {
        let stats = get(&open, STATS).await.json();
        stats["totals"]["rates"]["messagesIn"]
            .as_f64()
            .is_some_and(|rate| rate > 500.0)
    })
    .await;
    let stats = get(&open, STATS).await.json();
    openapi::check("Stats", &stats);
    let rate = |value: &Value| {
        let rate = value.as_f64().unwrap_or_default();
        assert!((500.0..2_000.0).contains(&rate), "{value} in {stats:#}");
    };
    rate(&server(&stats, "ws-node-1")["rates"]["messagesIn"]);
    rate(&stats["services"][1]["rates"]["messagesIn"]);
    rate(&stats["closesPerSecond"]["1000"]);
    rate(&stats["closesPerSecond"]["other"]);
    rate(&stats["errorsPerSecond"]["TIMEOUT"]);
    let slow = json!([{"client": "ann", "server": "ws-node-1", "queuedBytes": 70_000, "queuedMs": 12}]);
    assert_eq!(stats["slowClients"], slow);
}

#[tokio::test]
async fn rooms_are_counted_by_namespace_and_the_large_and_busy_ones_are_named() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _clients = (
        one.client("ann").await,
        two.client("bob").await,
        two.client("cid").await,
    );
    one.join("ann", "chat", "lobby").await;
    two.join("bob", "chat", "lobby").await;
    two.join("cid", "game", "7").await;
    let open = cluster.open();
    let sender = one.adapter.clone();
    let _sending = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        let room = wsmesh_adapter::Room::new("game", "7").expect("a room");
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            sender.push_to_room(&room, "x", &1).await.expect("accepted");
        }
    }));
    until("a busy room is named", async || {
        get(&open, STATS).await.json()["topRooms"]["byMessages"][0]["id"] == "7"
    })
    .await;
    let stats = get(&open, STATS).await.json();
    openapi::check("Stats", &stats);
    let chat = &stats["namespaces"][0];
    assert_eq!(
        (&chat["namespace"], &chat["rooms"], &chat["members"]),
        (&json!("chat"), &json!(2), &json!(2)),
        "a room counts on each server"
    );
    let under = get(&open, "/api/v1/rooms?namespacePrefix=cha&limit=1").await.json();
    openapi::check("Rooms", &under);
    assert_eq!((&under["count"], &under["members"]), (&json!(1), &json!(2)));
    get(&open, "/api/v1/rooms?namespacePrefix=c&namespace=chat")
        .await
        .problem(400);
    let largest = json!({"namespace": "chat", "id": "lobby", "members": 2});
    assert_eq!(stats["topRooms"]["byMembers"][0], largest);
    assert_eq!(stats["totals"]["rooms"], 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_named_and_keeps_its_last_load_while_the_others_go_on() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let _clients = (one.client("ann").await, two.client("bob").await);
    let open = cluster.open();
    until("all have rates", async || {
        let stats = get(&open, STATS).await.json();
        stats["clients"] == 2
            && stats["servers"]
                .as_array()
                .expect("a list")
                .iter()
                .all(|server| !server["rates"].is_null())
    })
    .await;
    two.crash();
    until("the silent one is missing", async || {
        get(&open, STATS).await.json()["missing"][0]["server"] == "ws-node-2"
    })
    .await;
    let stats = get(&open, STATS).await.json();
    openapi::check("Stats", &stats);
    assert_eq!((&stats["complete"], &stats["clients"]), (&json!(false), &json!(2)));
    let silent = server(&stats, "ws-node-2");
    assert_eq!(
        (&silent["stale"], &silent["rates"], &silent["lagMs"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let other = server(&stats, "ws-node-1");
    assert!(other["rates"].is_object() && other["stale"] == false, "{other}");
}

#[tokio::test]
async fn statistics_are_answered_from_the_last_sample_with_its_age() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    get(&open, STATS).await;
    let asked = cluster.statistics.snapshot();
    let stats = get(&open, STATS).await.json();
    assert!(stats["ageMs"].as_u64().is_some_and(|age| age < 60_000), "{stats}");
    assert!(stats["asOf"].as_str() >= Some(&*format!("{:.3}", asked.at)));
    let cluster = get(&open, "/api/v1/cluster").await.json();
    assert!(
        cluster["ageMs"].as_u64().is_some_and(|age| age < 1_000),
        "this one is no older than a second: {cluster}"
    );
    openapi::check("Cluster", &cluster);
}

#[tokio::test]
async fn the_history_has_a_row_for_each_sample_and_names_its_columns() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    until("there are two rows", async || {
        let history = get(&open, "/api/v1/stats/history?seconds=60").await.json();
        history["rows"].as_array().is_some_and(|rows| rows.len() >= 2)
    })
    .await;
    let history = get(&open, "/api/v1/stats/history").await.json();
    openapi::check("History", &history);
    let columns = history["columns"].as_array().expect("a list");
    assert_eq!((&columns[0], &columns[1]), (&json!("atMs"), &json!("clients")));
    let rows = history["rows"].as_array().expect("a list");
    assert!(
        rows.iter()
            .all(|row| row.as_array().is_some_and(|row| row.len() == columns.len()))
    );
    for wrong in ["0", "3601", "-1", "x", "", "99999999999999999999"] {
        let path = format!("/api/v1/stats/history?seconds={wrong}");
        get(&open, &path).await.problem(400);
    }
    get(&open, "/api/v1/stats/history?second=5").await.problem(400);
}

#[tokio::test]
async fn a_viewer_gets_snapshots_whose_parts_are_the_answers_and_news_in_between() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let mut events = Events::of(&open).await.expect("a stream");
    let snapshot = events.named("snapshot").await;
    openapi::check("Cluster", &snapshot["cluster"]);
    openapi::check("Nodes", &snapshot["nodes"]);
    openapi::check("Stats", &snapshot["stats"]);
    events.named("snapshot").await;
    cluster.statistics.tell("job", &json!({"id": "1-2"}));
    assert_eq!(events.named("job").await, json!({"id": "1-2"}));
    let _edge = cluster.edge("ws-node-1").await;
    let change = events.named("topology").await;
    assert!(
        change["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("server ws-node-1 came")),
        "{change}"
    );
}

#[tokio::test]
async fn more_viewers_than_there_are_places_are_told_to_go_elsewhere_and_a_place_is_free_again() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let mut viewers = Vec::new();
    for _ in 0..super::super::seats::MOST_STREAMS {
        viewers.push(Events::of(&open).await.expect("a place"));
    }
    let rejected = Events::of(&open).await.err().expect("no place");
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(rejected.headers().contains_key("retry-after"));
    // They do not count among the requests that run.
    assert_eq!(get(&open, STATS).await.status, 200);
    for viewer in &mut viewers {
        viewer.named("snapshot").await;
    }
    viewers.pop();
    assert!(Events::of(&open).await.is_ok());
}

#[tokio::test]
async fn a_slow_viewer_skips_snapshots_and_is_told_how_many_news_it_missed() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let mut slow = Events::of(&open).await.expect("a stream");
    slow.named("snapshot").await;
    for number in 0..1_000 {
        cluster.statistics.tell("audit", &json!({"number": number}));
    }
    let mut snapshots = cluster.statistics.subscribe();
    for _ in 0..3 {
        timeout(snapshots.changed()).await.expect("samples go on");
    }
    let missed = slow.named("missed").await["count"].as_u64().expect("a number");
    let next = slow.named("audit").await;
    assert_eq!(next["number"], missed, "what is left comes in order");
    let newest = cluster.statistics.snapshot().at;
    let seen = slow.named("snapshot").await;
    assert!(
        seen["asOf"].as_str() >= Some(&*format!("{newest:.3}")),
        "the newest one, not the oldest"
    );
}

#[tokio::test]
async fn streams_end_when_admin_ends() {
    let cluster = Cluster::new().await;
    let closing = tokio_util::sync::CancellationToken::new();
    let statistics = Statistics::new(cluster.admin.clone(), Outside::default(), closing.clone());
    let api = Api {
        statistics,
        ..cluster.api(None)
    };
    let router = router(
        api,
        HttpMetrics::new(&prometheus::Registry::new()).expect("registers"),
        None,
    );
    let mut events = Events::of(&router).await.expect("a stream");
    events.named("snapshot").await;
    closing.cancel();
    assert_eq!(timeout(events.next()).await, None);
}

#[tokio::test]
async fn a_server_of_an_older_version_has_its_load_and_nothing_else() {
    use wsmesh_adapter::{Gathered, ServerName, StatsPart};
    let part: StatsPart =
        serde_json::from_str(r#"{"clients": 4, "rooms": 1, "nodes": []}"#).expect("an answer of before");
    let cluster = Cluster::new().await;
    let gathered = Gathered {
        servers: vec![(ServerName::new("admin-1").expect("a name"), part)],
        missing: Vec::new(),
        complete: true,
    };
    let stats = crate::gather::stats(
        &cluster.admin.servers(),
        &gathered,
        &Default::default(),
        &Default::default(),
        true,
    );
    assert_eq!(
        (stats.clients, stats.namespaces.len(), stats.slow_clients.len()),
        (4, 0, 0)
    );
    assert_eq!(stats.servers[0].rates, None);
}

/// How long a page waits for the overview of a large cluster. For the figure:
/// `cargo test --release -p admin --lib -- --ignored --nocapture two_hundred`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: 200 servers in one process"]
async fn two_hundred_servers_are_shown_at_once() {
    let cluster = Cluster::new().await;
    let mut edges = Vec::new();
    for tens in 0..20 {
        let names: Vec<_> = (0..10)
            .map(|number| format!("ws-node-{}", 10 * tens + number))
            .collect();
        let ten = names.iter().take(199 - edges.len()).map(|name| cluster.edge(name));
        edges.extend(futures_util::future::join_all(ten).await);
    }
    let open = cluster.open();
    until("all are known", async || {
        let answer = get(&open, "/api/v1/cluster").await.json();
        answer["complete"] == true && answer["services"][1]["servers"].as_array().map(Vec::len) == Some(199)
    })
    .await;
    for path in ["/api/v1/cluster", "/api/v1/nodes", STATS] {
        let mut times = Vec::new();
        for _ in 0..21 {
            let begun = Instant::now();
            let answer = get(&open, path).await;
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200);
        }
        times.sort();
        eprintln!(
            "GET {path}, 200 servers: median {:?}, longest {:?}",
            times[10], times[20]
        );
        let limit = Duration::from_millis(50);
        assert!(cfg!(debug_assertions) || times[10] < limit, "{path}: {:?}", times[10]);
    }
}
