//! The check of an address before it becomes a node: on the embedded bus, and with real Redis.

use std::time::Instant;

use axum::Router;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wsmesh_adapter::{Adapter, Bus, Driver, Fault, NodeUrl, Options, ServerName, ServiceName, Started};
use wsmesh_test_support::redis::Redis;

use super::fixture::{Answer, Cluster, alone, get, post, timeout, until};
use super::nodes::{add, add_by_force, done, node, taken};
use super::openapi::check;

#[tokio::test]
async fn an_address_is_checked_without_becoming_a_node() {
    let cluster = Cluster::new().await;
    let _edge = cluster.edge("ws-node-1").await;
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");
    let found = tried(&open, "memory:redis-3").await;
    assert_eq!(
        (&found["node"], &found["passes"]),
        (&json!("redis-3"), &json!(true)),
        "{found}"
    );
    let servers = found["servers"].as_array().expect("a list").iter();
    let servers: Vec<_> = servers
        .map(|server| server["server"].as_str().expect("a name"))
        .collect();
    assert_eq!(servers, ["admin-1", "ws-node-1"]);
    assert_eq!(node(&open, "redis-3").await, json!(null));
}

#[tokio::test]
async fn a_node_that_servers_cannot_use_is_refused_unless_it_is_forced_and_nothing_is_changed() {
    let cluster = Cluster::new().await;
    let _edge = cluster.edge("ws-node-1").await;
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");
    cluster.bus.set_fault("redis-3", Fault::Fail);
    let refused = add(&open, "memory:redis-3").await;
    let problem = refused_by(&refused, &["admin-1", "ws-node-1"]);
    assert_eq!(problem["node"], "redis-3");
    assert_eq!(node(&open, "redis-3").await, Value::Null);
    assert_eq!(get(&open, "/api/v1/jobs").await.json()["jobs"], json!([]));
    let forced = taken(&add_by_force(&open, "memory:redis-3").await);
    assert_eq!(
        (&forced["state"], &forced["node"]),
        (&json!("running"), &json!("redis-3"))
    );
    // It is a node now, so it is asked for again and not tried.
    assert_eq!(taken(&add(&open, "memory:redis-3").await)["id"], forced["id"]);
}

#[tokio::test]
async fn an_address_that_is_none_is_rejected_as_when_it_is_added() {
    let (open, _driver) = alone(Bus::Redis(vec![
        NodeUrl::parse("redis://127.0.0.1:1#redis-1").expect("a URL"),
    ]));
    for path in ["/api/v1/nodes/preflight", "/api/v1/nodes", "/api/v1/nodes?force=true"] {
        for url in ["http://redis-2:6379", "", "redis://:hunter2@redis-2:6379"] {
            let detail = post(&open, path, json!({"url": url}).to_string()).await.problem(400);
            assert!(!detail.contains("hunter2"), "{detail}");
        }
    }
    for path in ["/api/v1/nodes?force=maybe", "/api/v1/nodes?forced=true"] {
        post(&open, path, r#"{"url":"redis://redis-2:6379"}"#)
            .await
            .problem(400);
    }
    let (single, _driver) = alone(Bus::Alone);
    post(&single, "/api/v1/nodes/preflight", r#"{"url":"redis://redis-2:6379"}"#)
        .await
        .problem(409);
}

/// An admin and two other servers on a real Redis, whose password all of them use for other nodes, too.
struct Real {
    redis: Redis,
    open: Router,
    _drivers: Vec<Driver>,
}

impl Real {
    async fn start() -> Self {
        let redis = Redis::start(&["--requirepass", "ours"]);
        let url = redis.url("redis-1").replace("://", "://:ours@");
        let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("a URL")]);
        let mut drivers = Vec::new();
        for name in ["game-logic-1", "ws-node-1"] {
            let Started { adapter, driver, .. } = server(name, bus.clone());
            timeout(adapter.ready()).await;
            drivers.push(driver);
        }
        let (open, driver) = alone(bus);
        drivers.push(driver);
        let path = "/api/v1/nodes";
        let all = async || {
            let nodes = get(&open, path).await.json();
            nodes["nodes"][0]["heardBy"].as_array().map_or(0, Vec::len) == 3
        };
        until("all three hear the node", all).await;
        Self {
            redis,
            open,
            _drivers: drivers,
        }
    }
}

fn server(name: &str, bus: Bus) -> Started {
    let service = ServiceName::new(name.trim_end_matches("-1")).expect("a name");
    let mut options = Options::new(ServerName::new(name).expect("a name"), service);
    options.bus = bus;
    Adapter::start(options).expect("starts")
}

async fn tried(open: &Router, url: &str) -> Value {
    let body = json!({"url": url}).to_string();
    let found = post(open, "/api/v1/nodes/preflight", body).await.json();
    check("Preflight", &found);
    found
}

/// Checks that the node was refused, as each of these servers could not use it. Returns the problem.
fn refused_by(answer: &Answer, servers: &[&str]) -> Value {
    let detail = answer.problem(422);
    assert!(
        detail.contains("nothing was changed") && detail.contains("?force=true"),
        "{detail}"
    );
    let problem = answer.json();
    check("Problem", &problem);
    assert_eq!(problem["code"], "preflight");
    let listed = problem["servers"].as_array().expect("a list").iter();
    let listed: Vec<_> = listed
        .map(|server| server["server"].as_str().expect("a name"))
        .collect();
    assert_eq!(listed, servers, "{problem}");
    for server in problem["servers"].as_array().expect("a list") {
        for field in ["what", "why", "fix"] {
            assert!(
                server["checks"][0][field].as_str().is_some_and(|text| !text.is_empty()),
                "{problem}"
            );
        }
    }
    problem
}

const ALL: [&str; 3] = ["admin-1", "game-logic-1", "ws-node-1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_with_another_password_and_a_known_one_under_a_second_name_are_refused_and_a_good_one_is_added() {
    let real = Real::start().await;
    let other = Redis::start(&["--requirepass", "another"]);
    let problem = refused_by(&add(&real.open, &other.url("redis-2")).await, &ALL);
    assert_eq!(problem["servers"][0]["checks"][0]["what"], "login", "{problem}");
    assert!(!problem.to_string().contains("ours"), "{problem}");

    let twice = refused_by(&add(&real.open, &real.redis.url("redis-2")).await, &ALL);
    assert_eq!(twice["servers"][0]["checks"][0]["what"], "identity", "{twice}");
    assert_eq!(node(&real.open, "redis-2").await, Value::Null);

    let good = Redis::start(&["--requirepass", "ours"]);
    let found = tried(&real.open, &good.url("redis-2")).await;
    assert_eq!(found["passes"], true, "{found}");
    done(&real.open, &add(&real.open, &good.url("redis-2")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_redis_is_refused_and_what_says_nothing_is_refused_in_time() {
    let real = Real::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("bound");
    let begin = Instant::now();
    let problem = refused_by(&add(&real.open, &format!("redis://{address}#redis-2")).await, &ALL);
    assert_eq!(problem["servers"][0]["checks"][0]["what"], "redis", "{problem}");
    assert!(begin.elapsed() < super::fixture::LIMIT, "{:?}", begin.elapsed());
    drop(silent);
    let closed = refused_by(&add(&real.open, &format!("redis://{address}#redis-2")).await, &ALL);
    assert_eq!(closed["servers"][0]["checks"][0]["what"], "reachable", "{closed}");
    assert_eq!(node(&real.open, "redis-2").await, Value::Null);
}
