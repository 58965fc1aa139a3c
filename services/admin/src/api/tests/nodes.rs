//! The nodes at run time: added, drained and removed through the API, with the progress of every server.

use axum::Router;
use serde_json::{Value, json};
use wsmesh_adapter::{Bus, Fault, NodeUrl};

use super::fixture::{Answer, Cluster, JOB_LIMIT, alone, delete, get, post, timeout, until};
use super::openapi;

pub(super) async fn add(open: &Router, url: &str) -> Answer {
    post(open, "/api/v1/nodes", json!({"url": url}).to_string()).await
}

/// Without a preflight, which a node that cannot be used does not pass.
pub(super) async fn add_by_force(open: &Router, url: &str) -> Answer {
    post(open, "/api/v1/nodes?force=true", json!({"url": url}).to_string()).await
}

/// The job in an answer that accepts a change.
pub(super) fn taken(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = answer.json();
    openapi::check("Job", &job);
    let id = job["id"].as_str().expect("an id");
    assert!(answer.header("location").ends_with(&format!("jobs/{id}")));
    job
}

/// Asks until the job of an answer has ended.
pub(super) async fn ended(open: &Router, answer: &Answer) -> Value {
    let path = again_path(&taken(answer));
    let path = path.as_str();
    let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
    timeout(async {
        loop {
            let job = get(open, path).await.json();
            if job["state"] != "running" {
                openapi::check("Job", &job);
                assert!(job["finishedAt"].is_string(), "{job}");
                return job;
            }
            every.tick().await;
        }
    })
    .await
}

pub(super) async fn done(open: &Router, answer: &Answer) -> Value {
    let job = ended(open, answer).await;
    assert_eq!((&job["state"], &job["why"]), (&json!("done"), &Value::Null), "{job}");
    job
}

pub(super) async fn node(open: &Router, id: &str) -> Value {
    let listing = get(open, "/api/v1/nodes").await.json();
    openapi::check("Nodes", &listing);
    let nodes = listing["nodes"].as_array().expect("a list");
    nodes
        .iter()
        .find(|node| node["id"] == id)
        .cloned()
        .unwrap_or(Value::Null)
}

pub(super) fn servers(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().filter_map(|entry| entry["server"].as_str()).collect()
}

#[tokio::test]
async fn a_node_is_added_takes_over_from_the_others_and_is_not_removed_as_the_last() {
    let cluster = Cluster::new().await;
    let (one, two) = (cluster.edge("ws-node-1").await, cluster.edge("ws-node-2").await);
    let (mut ann, mut bob) = (one.client("ann").await, two.client("bob").await);
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");

    let job = done(&open, &add(&open, "memory:redis-3").await).await;
    assert_eq!(
        (&job["what"], &job["node"], &job["admin"]),
        (&json!("add"), &json!("redis-3"), &json!("admin-1"))
    );
    let all = ["admin-1", "ws-node-1", "ws-node-2"];
    assert_eq!(servers(&job["servers"]), all);
    for server in job["servers"].as_array().expect("a list") {
        assert_eq!(
            (&server["state"], &server["hears"], &server["done"]),
            (&json!("active"), &json!(true), &json!(true)),
            "{job}"
        );
    }
    let listed = node(&open, "redis-3").await;
    assert_eq!(
        (&listed["state"], &listed["url"], &listed["epoch"]),
        (&json!("active"), &json!("memory:redis-3"), &json!(1))
    );
    assert_eq!(servers(&listed["heardBy"]), all);
    assert_eq!(listed["heardBy"][0]["state"], "active");

    for id in ["redis-1", "redis-2"] {
        let job = done(&open, &delete(&open, &format!("/api/v1/nodes/{id}")).await).await;
        for server in job["servers"].as_array().expect("a list") {
            assert_eq!(
                (&server["state"], &server["done"]),
                (&json!("gone"), &json!(true)),
                "{job}"
            );
        }
        assert_eq!(node(&open, id).await["state"], "gone");
        // The job is done when the node is gone; its connections end then.
        until("nobody hears it", async || {
            node(&open, id).await["heardBy"] == json!([])
        })
        .await;
    }
    assert_eq!(get(&open, "/api/v1/nodes").await.json()["warnings"], json!([]));

    // Only the added node is left, so all messages go through it.
    let sent = post(&open, "/api/v1/broadcast", r#"{"event":"say","payload":1}"#).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.frame().await, r#"{"event":"say","payload":1}"#);
    }
    let detail = delete(&open, "/api/v1/nodes/redis-3").await.problem(409);
    assert!(detail.contains("no other active Redis node"), "{detail}");
    assert_eq!(node(&open, "redis-3").await["state"], "active");

    let jobs = get(&open, "/api/v1/jobs").await.json();
    openapi::check("Jobs", &jobs);
    let listed: Vec<_> = jobs["jobs"].as_array().expect("a list").iter().collect();
    let nodes: Vec<_> = listed.iter().map(|job| job["node"].as_str().unwrap_or("")).collect();
    assert_eq!(nodes, ["redis-2", "redis-1", "redis-3"], "youngest first");
}

#[tokio::test]
async fn asking_twice_gives_the_same_job() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    // An admin that has just started sees all servers a little later, and calls nothing done before that.
    let active = done(&open, &add(&open, "memory:redis-1").await).await;
    let other = taken(&add(&open, "memory:redis-2").await);
    assert_eq!(other["state"], "done", "it is active already: {other}");
    assert_eq!(taken(&add(&open, "memory:redis-1").await), active);

    let draining = delete(&open, "/api/v1/nodes/redis-1").await;
    let again = delete(&open, "/api/v1/nodes/redis-1").await;
    assert_eq!(taken(&draining)["id"], taken(&again)["id"]);
    let first = done(&open, &draining).await;
    let gone = taken(&delete(&open, "/api/v1/nodes/redis-1").await);
    assert_eq!((&gone["id"], &gone["state"]), (&first["id"], &json!("done")));

    // The node comes back with a higher epoch: that is another change.
    let back = done(&open, &add(&open, "memory:redis-1").await).await;
    assert_ne!(back["id"], active["id"]);
    assert_eq!(node(&open, "redis-1").await["epoch"], 2);
}

#[tokio::test]
async fn adding_a_draining_node_cancels_the_drain_and_the_drain_job_says_so() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let drain = delete(&open, "/api/v1/nodes/redis-1").await;
    let back = add(&open, "memory:redis-1").await;
    done(&open, &back).await;
    let drain = ended(&open, &drain).await;
    assert_eq!(drain["state"], "failed", "{drain}");
    assert!(
        drain["why"].as_str().is_some_and(|why| why.contains("active again")),
        "{drain}"
    );
}

#[tokio::test]
async fn a_late_server_catches_up_and_is_shown_with_the_rest() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");
    done(&open, &add(&open, "memory:redis-3").await).await;
    done(&open, &delete(&open, "/api/v1/nodes/redis-1").await).await;
    // The late server is configured with all three nodes.
    let _late = cluster.edge("ws-node-9").await;
    let caught_up = async {
        let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            let (added, removed) = (node(&open, "redis-3").await, node(&open, "redis-1").await);
            if servers(&added["heardBy"]) == ["admin-1", "ws-node-9"] && removed["notHeardBy"][1]["state"] == "gone" {
                return removed;
            }
            every.tick().await;
        }
    };
    assert_eq!(
        servers(&timeout(caught_up).await["notHeardBy"]),
        ["admin-1", "ws-node-9"]
    );
}

#[tokio::test]
async fn a_node_that_is_not_heard_fails_its_job_stays_joining_and_can_be_taken_back() {
    let cluster = Cluster::new().await;
    let _edge = cluster.edge("ws-node-1").await;
    let open = cluster.open();
    cluster.bus.add_node("redis-3").expect("a good id");
    cluster.bus.set_fault("redis-3", Fault::Fail);

    let begin = std::time::Instant::now();
    let answer = add_by_force(&open, "memory:redis-3").await;
    let job = ended(&open, &answer).await;
    assert!(begin.elapsed() >= JOB_LIMIT);
    assert_eq!(job["state"], "failed", "{job}");
    let why = job["why"].as_str().expect("a reason");
    assert!(
        why.contains("by: admin-1, ws-node-1.") && why.contains("DELETE /api/v1/nodes/redis-3"),
        "{why}"
    );
    assert_eq!(servers(&job["servers"]), ["admin-1", "ws-node-1"]);
    let listed = node(&open, "redis-3").await;
    assert_eq!(
        (&listed["state"], &listed["heardBy"]),
        (&json!("joining"), &json!([])),
        "it stays in the topology, and no server chooses it"
    );
    assert!(listed["notHeardBy"][0]["error"].is_string(), "{listed}");

    // Asking again gives another job. When the node is removed, that job says so, and the node is gone.
    let again = add(&open, "memory:redis-3").await;
    assert_ne!(taken(&again)["id"], job["id"]);
    done(&open, &delete(&open, "/api/v1/nodes/redis-3").await).await;
    let again = ended(&open, &again).await;
    assert!(
        again["why"]
            .as_str()
            .is_some_and(|why| why.contains("drained meanwhile")),
        "{again}"
    );
    assert_eq!(get(&open, again_path(&again).as_str()).await.json(), again);
}

/// The path that a relative reference in an answer to `path` leads to.
fn resolved(path: &str, reference: &str) -> String {
    let (mut folder, _) = path.rsplit_once('/').expect("a path");
    let mut rest = reference;
    while let Some(above) = rest.strip_prefix("../") {
        (folder, _) = folder.rsplit_once('/').expect("a folder above");
        rest = above;
    }
    format!("{folder}/{rest}")
}

#[tokio::test]
async fn behind_a_path_prefix_every_link_and_every_location_header_leads_somewhere() {
    let cluster = Cluster::new().await;
    let prefixed = cluster.behind(Some("/admin"));
    let page = get(&prefixed, "/admin/").await;
    assert_eq!(page.status, 200);
    let links: Vec<_> = page.text.split("href=\"").skip(1).collect();
    assert!(links.len() > 5);
    for link in links {
        let (link, _) = link.split_once('"').expect("an end");
        if link.starts_with('#') {
            continue;
        }
        assert_eq!(get(&prefixed, &resolved("/admin/", link)).await.status, 200, "{link}");
    }
    let description = get(&prefixed, "/admin/openapi.json").await.json();
    assert_eq!(description["servers"][0]["url"], ".");
    let body = json!({"url": "memory:redis-1"}).to_string();
    let added = post(&prefixed, "/admin/api/v1/nodes", body).await;
    let removed = delete(&prefixed, "/admin/api/v1/nodes/redis-1").await;
    for (path, answer) in [("/admin/api/v1/nodes", added), ("/admin/api/v1/nodes/redis-1", removed)] {
        let place = resolved(path, answer.header("location"));
        let job = get(&prefixed, &place).await.json();
        assert_eq!(job["id"], taken(&answer)["id"], "{place}");
    }
}

pub(super) fn again_path(job: &Value) -> String {
    format!("/api/v1/jobs/{}", job["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_change_that_is_not_possible_is_rejected_with_advice() {
    let url = NodeUrl::parse("redis://127.0.0.1:1#redis-1").expect("a URL");
    let (open, _driver) = alone(Bus::Redis(vec![url]));
    for (url, status, reason) in [
        ("http://redis-2:6379", 400, "redis://"),
        ("", 400, "redis://"),
        ("redis://:hunter2@redis-2:6379", 400, "leave user and password out"),
        ("redis://ann@redis-2:6379", 400, "leave user and password out"),
        (
            "rediss://redis-2:6379?ca=/etc/ca.pem#redis-2",
            400,
            "leave ?ca=, cert= and key= out",
        ),
        ("redis://elsewhere:6379#redis-1", 409, "is a Redis node already"),
    ] {
        let detail = add(&open, url).await.problem(status);
        assert!(detail.contains(reason), "{url}: {detail}");
        assert!(!detail.contains("hunter2"), "{detail}");
    }
    for (body, reason) in [
        ("{}", "url"),
        (r#"{"url":7}"#, "url"),
        (r#"{"url":"redis://a","id":"b"}"#, "id"),
        ("not JSON", "line 1"),
    ] {
        let detail = post(&open, "/api/v1/nodes", body).await.problem(400);
        assert!(detail.contains(reason), "{body}: {detail}");
    }
    let detail = delete(&open, "/api/v1/nodes/redis-7").await.problem(404);
    assert!(detail.contains("redis-7"), "{detail}");
    delete(&open, "/api/v1/nodes/redis-1").await.problem(409);
    let long = "x".repeat(300);
    delete(&open, &format!("/api/v1/nodes/{long}")).await.problem(400);
    let detail = get(&open, "/api/v1/jobs/7").await.problem(404);
    assert!(detail.contains("GET /api/v1/nodes shows"), "{detail}");
    assert_eq!(get(&open, "/api/v1/jobs").await.json()["jobs"], json!([]));

    let (single, _driver) = alone(Bus::Alone);
    let detail = add(&single, "redis://redis-2:6379").await.problem(409);
    assert!(detail.contains("runs alone"), "{detail}");
    delete(&single, "/api/v1/nodes/redis-1").await.problem(409);
}

#[tokio::test]
async fn without_the_token_nothing_is_changed() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    add(&guarded, "memory:redis-3").await.problem(401);
    delete(&guarded, "/api/v1/nodes/redis-1").await.problem(401);
    get(&guarded, "/api/v1/jobs").await.problem(401);
    assert_eq!(node(&cluster.open(), "redis-1").await["state"], "active");
    assert_eq!(node(&cluster.open(), "redis-3").await, Value::Null);
}
