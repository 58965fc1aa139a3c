//! The StatefulSet of the Redis nodes gets more and fewer replicas, and no request that is wrong changes anything.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use wsmesh_adapter::MemoryBus;

use super::fixture::{Answer, Cluster, TOKEN, alone, delete, get, post, send, until};
use super::nodes::{add, again_path, done, ended, node, taken};
use super::openapi;
use super::stateful_set::{Fate, PATIENT, StatefulSet};

/// An admin on a bus with the nodes of so many pods.
pub(super) async fn cluster_of(name: &str, pods: u32) -> Cluster {
    let ids: Vec<_> = (0..pods).map(|ordinal| format!("redis-{ordinal}")).collect();
    let bus = MemoryBus::new(ids.iter().map(String::as_str)).expect("good ids");
    Cluster::patient(name, bus).await
}

pub(super) async fn scale(open: &Router, replicas: u32) -> Answer {
    post(open, "/api/v1/nodes/scale", json!({"replicas": replicas}).to_string()).await
}

/// The jobs that remove, oldest first.
async fn removals(open: &Router) -> Vec<Value> {
    let list = get(open, "/api/v1/jobs").await.json();
    let jobs = list["jobs"].as_array().expect("a list").iter().rev();
    jobs.filter(|job| job["what"] == "remove").cloned().collect()
}

fn time(job: &Value, field: &str) -> Timestamp {
    job[field].as_str().expect("a time").parse().expect("a time")
}

#[tokio::test]
async fn scaling_down_drains_one_node_after_the_other_from_the_highest_ordinal_and_then_ends_the_pods() {
    let mut cluster = cluster_of("admin-1", 4).await;
    let edge = cluster.edge("ws-node-1").await;
    let mut ann = edge.client("ann").await;
    let set = StatefulSet::start(4).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 2).await;
    let begun = taken(&answer);
    assert_eq!((&begun["what"], &begun["node"]), (&json!("scale"), &Value::Null));
    assert_eq!(begun["replicas"], json!({"from": 4, "to": 2}));
    assert_eq!(
        cluster.jobs.scale_target(),
        Some(3),
        "redis-3 leaves, and redis-2 stays"
    );
    let job = done(&open, &answer).await;
    let nodes: Vec<_> = job["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| {
            (
                node["node"].as_str().unwrap_or(""),
                node["state"].as_str(),
                &node["done"],
            )
        })
        .collect();
    let yes = json!(true);
    assert_eq!(
        nodes,
        [("redis-3", Some("gone"), &yes), ("redis-2", Some("gone"), &yes)]
    );
    let removals = removals(&open).await;
    let removed: Vec<_> = removals.iter().map(|job| job["node"].as_str().unwrap_or("")).collect();
    assert_eq!(removed, ["redis-3", "redis-2"]);
    assert!(
        time(&removals[0], "finishedAt") <= time(&removals[1], "startedAt"),
        "{removals:#?}"
    );
    let asked_at = set.asked_at().expect("the StatefulSet was scaled");
    assert!(asked_at >= time(&removals[1], "finishedAt"), "its pods end last");
    assert_eq!((set.asked(), set.replicas()), (vec![2], 2));
    assert_eq!(
        cluster.jobs.scale_target(),
        Some(2),
        "the old number may still be read somewhere"
    );
    let sent = post(&open, "/api/v1/broadcast", r#"{"event":"say","payload":1}"#).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    assert_eq!(ann.frame().await, r#"{"event":"say","payload":1}"#);
}

#[tokio::test]
async fn scaling_up_starts_the_pods_and_is_done_when_their_nodes_are_used() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let _edge = cluster.edge("ws-node-1").await;
    let set = StatefulSet::start(2).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 4).await;
    until("the StatefulSet is scaled", async || set.replicas() == 4).await;
    assert_eq!(cluster.jobs.scale_target(), Some(4));
    for id in ["redis-2", "redis-3"] {
        let job = get(&open, &again_path(&taken(&answer))).await.json();
        assert_eq!(job["state"], "running", "{job}");
        cluster.bus.add_node(id).expect("a good id");
        done(&open, &add(&open, &format!("memory:{id}")).await).await;
    }
    let job = done(&open, &answer).await;
    assert_eq!(
        job["nodes"][1],
        json!({"node": "redis-3", "state": "active", "done": true})
    );
    assert_eq!((set.asked(), cluster.jobs.scale_target()), (vec![4], None));
}

#[tokio::test]
async fn a_scale_that_is_asked_for_twice_is_one_job_and_another_one_must_wait() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    // Nobody leads.
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    let first = taken(&scale(&open, 3).await);
    assert_eq!(taken(&scale(&open, 3).await)["id"], first["id"]);
    for other in [2, 4] {
        let detail = scale(&open, other).await.problem(409);
        assert!(
            detail.contains("scales the StatefulSet from 2 to 3 replicas"),
            "{detail}"
        );
    }
    assert_eq!(set.asked(), [] as [u64; 0]);
}

#[tokio::test]
async fn a_number_that_it_has_already_changes_nothing() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 2).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    openapi::check("Scaled", &answer.json());
    assert_eq!(answer.json(), json!({"replicas": 2}));
    assert_eq!(get(&open, "/api/v1/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn a_request_that_is_wrong_is_rejected_with_what_to_write() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    for (body, reason) in [
        (r#"{"replicas":0}"#, "from 1 to 32"),
        (r#"{"replicas":33}"#, "from 1 to 32"),
        (r#"{"replicas":-1}"#, "replicas"),
        (r#"{"replicas":1.5}"#, "replicas"),
        (r#"{"replicas":"3"}"#, "replicas"),
        (r#"{"replicas":4294967296}"#, "replicas"),
        (r#"{"replicas":3,"force":true}"#, "force"),
        ("{}", "replicas"),
        ("3", "object"),
        ("not JSON", "line 1"),
    ] {
        let detail = post(&open, "/api/v1/nodes/scale", body).await.problem(400);
        assert!(detail.contains(reason), "{body}: {detail}");
    }
    let plain = Request::post("/api/v1/nodes/scale").body(Body::from(r#"{"replicas":3}"#));
    send(&open, plain.expect("a request")).await.problem(415);
    get(&open, "/api/v1/nodes/scale").await.problem(405);
    post(&open, "/api/v1/nodes/scale?now=1", r#"{"replicas":3}"#)
        .await
        .problem(400);
    scale(&cluster.guarded(), 3).await.problem(401);
    assert_eq!(set.asked(), [] as [u64; 0]);
}

#[tokio::test]
async fn only_operators_scale_and_the_audit_says_who_did() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(3).await;
    cluster.scaler = Some(set.scaler(&cluster));
    let guarded = cluster.guarded();
    let request = Request::post("/api/v1/nodes/scale")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(r#"{"replicas":2}"#));
    taken(&send(&guarded, request.expect("a request")).await);
    let records = get(&cluster.open(), "/api/v1/audit").await.json();
    let record = &records["records"][0];
    assert_eq!(
        (&record["action"], &record["target"], &record["result"]),
        (&json!("scale nodes"), &json!("2 replicas"), &json!("done")),
        "{records}"
    );
    let described = serde_json::to_value(super::super::description()).expect("JSON");
    let needed = described.pointer("/paths/~1api~1v1~1nodes~1scale/post/description");
    assert!(needed.is_some(), "{described}");
}

#[tokio::test]
async fn outside_of_kubernetes_the_answer_says_how_nodes_are_added_and_removed() {
    let (open, _driver) = alone(wsmesh_adapter::Bus::Memory(
        MemoryBus::new(["redis-0"]).expect("good ids"),
    ));
    let detail = scale(&open, 3).await.problem(409);
    for part in ["POST /api/v1/nodes", "DELETE", "--kubernetes-redis-statefulset"] {
        assert!(detail.contains(part), "{detail}");
    }
}

#[tokio::test]
async fn a_node_whose_pod_the_stateful_set_keeps_is_not_removed_by_itself() {
    let mut cluster = cluster_of("admin-1", 3).await;
    let set = StatefulSet::start(2).await;
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    let detail = delete(&open, "/api/v1/nodes/redis-1").await.problem(409);
    for part in [
        "pod redis-1 of StatefulSet redis",
        r#"POST /api/v1/nodes/scale {"replicas": 1}"#,
        "kubectl delete pod redis-1",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    let detail = delete(&open, "/api/v1/nodes/redis-0").await.problem(409);
    assert!(!detail.contains("nodes/scale"), "there is always one: {detail}");
    set.reads([Fate::Fails(500)]);
    delete(&open, "/api/v1/nodes/redis-1").await.problem(409);
    assert_eq!(node(&open, "redis-1").await["state"], "active");
    delete(&open, "/api/v1/nodes/redis-9").await.problem(404);
    done(&open, &delete(&open, "/api/v1/nodes/redis-2").await).await;
    assert_eq!(node(&open, "redis-2").await["state"], "gone", "nobody keeps its pod");
}

#[tokio::test]
async fn a_node_is_removed_by_force_only_if_kubernetes_does_not_say_whether_its_pod_is_kept() {
    let mut cluster = cluster_of("admin-1", 4).await;
    let set = StatefulSet::start(4).await;
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    let kept = delete(&open, "/api/v1/nodes/redis-3?force=true").await.problem(409);
    assert!(kept.contains("which keeps it"), "{kept}");
    for fate in [Fate::Fails(403), Fate::Fails(500), Fate::Hangs] {
        set.reads([fate]);
        let unknown = delete(&open, "/api/v1/nodes/redis-3").await.problem(409);
        assert!(unknown.contains("?force=true"), "{unknown}");
    }
    set.reads([Fate::Fails(403)]);
    done(&open, &delete(&open, "/api/v1/nodes/redis-3?force=true").await).await;
    assert_eq!(node(&open, "redis-3").await["state"], "gone");
    // Its pod is kept, and it is gone already.
    done(&open, &delete(&open, "/api/v1/nodes/redis-3").await).await;
    // The StatefulSet was deleted.
    set.reads([Fate::Fails(404)]);
    done(&open, &delete(&open, "/api/v1/nodes/redis-2").await).await;
    let records = get(&open, "/api/v1/audit").await.json();
    assert!(records.to_string().contains("node redis-3 by force"), "{records}");
}

#[tokio::test]
async fn what_kubernetes_refuses_or_does_not_answer_is_told_to_the_caller_and_nothing_is_begun() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    for (fate, status, reason) in [
        (Fate::Fails(403), 502, "get and patch of statefulsets/scale"),
        (Fate::Fails(404), 502, "--kubernetes-redis-statefulset"),
        (Fate::Fails(422), 502, "refuses to scale"),
        (Fate::Fails(500), 504, "etcd is away"),
        (Fate::Hangs, 504, "did not answer within 0.2 s"),
    ] {
        set.reads([fate]);
        let detail = scale(&open, 3).await.problem(status);
        assert!(detail.contains(reason), "{fate:?}: {detail}");
    }
    assert_eq!(get(&open, "/api/v1/jobs").await.json()["jobs"], json!([]));
    let job = taken(&scale(&open, 3).await);
    assert_eq!(job["state"], "running", "it works again: {job}");
}

#[tokio::test]
async fn a_pod_that_never_becomes_a_node_fails_the_job_and_is_named() {
    let bus = MemoryBus::new(["redis-0"]).expect("good ids");
    let mut cluster = Cluster::of("admin-1", bus).await;
    let set = StatefulSet::start(1).await;
    cluster.jobs = cluster.jobs.clone().with_limit(std::time::Duration::from_millis(200));
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let job = ended(&open, &scale(&open, 2).await).await;
    assert_eq!((&job["state"], set.replicas()), (&json!("failed"), 2), "{job}");
    let why = job["why"].as_str().expect("a reason");
    assert!(
        why.contains("redis-1") && why.contains("kubectl get pods") && why.contains("scale back to 1"),
        "{why}"
    );
}
