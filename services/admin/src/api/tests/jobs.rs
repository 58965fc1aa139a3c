//! Several admins know the same jobs: whoever accepted them, whoever has ended, and in whatever order they learn of them.

use axum::Router;
use futures_util::FutureExt;
use serde_json::{Value, json};
use wsmesh_adapter::{Adapter, Fault, Payload, RequestOptions, ServerName, Target};

use super::fixture::{Cluster, delete, get, stream, timeout, until};
use super::nodes::{add, add_by_force, again_path, done, ended, node, taken};
use super::openapi;

/// Another admin on the bus of this one, when both know each other.
async fn beside(cluster: &Cluster, name: &str) -> Cluster {
    let other = Cluster::patient(name, cluster.bus.clone()).await;
    knows(&cluster.admin, name).await;
    knows(&other.admin, cluster.admin.name().as_str()).await;
    other
}

async fn knows(adapter: &Adapter, name: &str) {
    let mut roster = adapter.roster();
    let known = roster.wait_for(|servers| {
        servers
            .iter()
            .any(|server| server.name.as_str() == name && server.counted)
    });
    timeout(known).await.expect("it lives");
}

async fn list(open: &Router) -> Vec<Value> {
    let list = get(open, "/api/v1/jobs").await.json();
    openapi::check("Jobs", &list);
    list["jobs"].as_array().expect("a list").clone()
}

/// Waits until an admin has a job with this id.
async fn has(open: &Router, job: &Value) {
    let path = again_path(job);
    until("the other admin knows the job", async || {
        get(open, &path).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn any_admin_answers_for_any_job_and_a_repeat_at_another_admin_gets_the_same_job() {
    let one = Cluster::new().await;
    let two = beside(&one, "admin-2").await;
    let (here, there) = (one.open(), two.open());
    one.bus.add_node("redis-3").expect("a good id");
    let job = done(&here, &add(&here, "memory:redis-3").await).await;
    has(&there, &job).await;
    until("both have the same end", async || {
        get(&there, &again_path(&job)).await.json() == job
    })
    .await;
    assert_eq!(job["admin"], "admin-1");
    let again = taken(&add(&there, "memory:redis-3").await);
    assert_eq!(again["id"], job["id"], "asked twice, at two admins");

    let removal = delete(&there, "/api/v1/nodes/redis-1").await;
    let removed = done(&there, &removal).await;
    until("both lists are the same", async || {
        list(&here).await == list(&there).await
    })
    .await;
    assert_eq!(
        (&removed["admin"], &list(&here).await[0]),
        (&json!("admin-2"), &removed)
    );
}

#[tokio::test]
async fn a_job_whose_request_is_dropped_in_the_middle_is_told_to_the_others_all_the_same() {
    let one = Cluster::new_patient().await;
    let two = beside(&one, "admin-2").await;
    one.bus.add_node("redis-3").expect("a good id");
    one.bus.set_fault("redis-3", Fault::Fail);
    let used = ["redis-1", "redis-2"];
    let set = |fault| used.iter().all(|node| one.bus.set_fault(node, fault));
    assert!(set(Fault::Pause));
    let begun = add_by_force(&one.open(), "memory:redis-3").now_or_never();
    assert!(begun.is_none(), "its caller goes away before the answer");
    assert!(set(Fault::None));
    let there = two.open();
    until("the other admin knows the job", async || !list(&there).await.is_empty()).await;
    // At its end it would be told anyway.
    assert_eq!(list(&there).await[0]["state"], "running");
}

#[tokio::test]
async fn a_job_whose_admin_is_killed_right_after_it_accepted_it_is_followed_to_its_end_by_another() {
    let one = Cluster::new_patient().await;
    let two = beside(&one, "admin-2").await;
    let there = two.open();
    one.bus.add_node("redis-3").expect("a good id");
    one.bus.set_fault("redis-3", Fault::Fail);
    let answer = add_by_force(&one.open(), "memory:redis-3").await;
    assert_eq!(taken(&answer)["state"], "running");
    let bus = one.bus.clone();
    drop(one);
    has(&there, &taken(&answer)).await;
    bus.set_fault("redis-3", Fault::None);
    let job = done(&there, &answer).await;
    assert_eq!(job["admin"], "admin-1", "who accepted it stays known");
    assert_eq!(node(&there, "redis-3").await["state"], "active");
}

#[tokio::test]
async fn a_time_limit_holds_although_the_admin_that_accepted_the_job_is_gone() {
    let one = Cluster::new().await;
    let two = beside(&one, "admin-2").await;
    let there = two.open();
    one.bus.add_node("redis-3").expect("a good id");
    one.bus.set_fault("redis-3", Fault::Fail);
    let answer = add_by_force(&one.open(), "memory:redis-3").await;
    drop(one);
    has(&there, &taken(&answer)).await;
    let job = ended(&there, &answer).await;
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["why"].as_str().is_some_and(|why| why.contains("by: ")), "{job}");
}

#[tokio::test]
async fn an_admin_that_starts_later_learns_of_every_job() {
    let one = Cluster::new_patient().await;
    let here = one.open();
    one.bus.add_node("redis-3").expect("a good id");
    done(&here, &add(&here, "memory:redis-3").await).await;
    done(&here, &delete(&here, "/api/v1/nodes/redis-1").await).await;
    one.bus.add_node("redis-4").expect("a good id");
    one.bus.set_fault("redis-4", Fault::Fail);
    let running = add_by_force(&here, "memory:redis-4").await;
    let late = beside(&one, "admin-2").await;
    let there = late.open();
    until("it has the whole list", async || list(&there).await.len() == 3).await;
    let job = ended(&there, &running).await;
    until("both lists are the same", async || {
        list(&here).await == list(&there).await
    })
    .await;
    assert_eq!((&list(&there).await[0], &job["admin"]), (&job, &json!("admin-1")));
}

#[tokio::test]
async fn two_admins_that_accept_one_change_at_once_have_one_job() {
    let one = Cluster::new().await;
    let two = beside(&one, "admin-2").await;
    let (here, there) = (one.open(), two.open());
    one.bus.add_node("redis-3").expect("a good id");
    let (a, b) = tokio::join!(add(&here, "memory:redis-3"), add(&there, "memory:redis-3"));
    assert_eq!(taken(&a)["id"], taken(&b)["id"]);
    done(&here, &a).await;
    done(&there, &b).await;
    until("both lists are the same", async || {
        list(&here).await == list(&there).await
    })
    .await;
    assert_eq!(list(&here).await.len(), 1);
}

#[tokio::test]
async fn a_change_that_no_server_learned_of_before_its_admin_was_killed_is_made_by_another() {
    let one = Cluster::new().await;
    let there = one.open();
    one.bus.add_node("redis-3").expect("a good id");
    // All that is left of the killed admin is the news of its job.
    let news = json!({
        "id": "0123456789abcdef-1",
        "what": "add",
        "node": "redis-3",
        "change": {"epoch": 1, "attempt": 1, "url": "memory:redis-3"},
        "admin": "admin-9",
        "startedAt": "2023-11-14T22:13:20Z",
        "ageMs": 0,
    });
    tell(&one, "wsmesh.job", &news).await;
    until("it knows the job", async || !list(&there).await.is_empty()).await;
    let job = &list(&there).await[0];
    let path = again_path(job);
    until("the job is done", async || {
        get(&there, &path).await.json()["state"] == "done"
    })
    .await;
    assert_eq!(node(&there, "redis-3").await["state"], "active");
}

#[tokio::test]
async fn late_malformed_and_foreign_news_harm_nobody() {
    let one = Cluster::new().await;
    let here = one.open();
    let old = json!({
        "id": "0123456789abcdef-1",
        "what": "add",
        "node": "redis-9",
        "change": {"epoch": 1, "attempt": 1, "url": "memory:redis-9"},
        "admin": "admin-9",
        "startedAt": "2023-11-14T22:13:20Z",
        "ageMs": u64::MAX,
    });
    let mut unknown = old.clone();
    unknown["what"] = "paint".into();
    for wrong in [json!(null), json!([]), json!({"id": 7}), unknown] {
        tell(&one, "wsmesh.job", &wrong).await;
    }
    tell(&one, "wsmesh.job", &old).await;
    until("the old job is known", async || !list(&here).await.is_empty()).await;
    let known = list(&here).await;
    assert_eq!(
        (known.len(), &known[0]["state"]),
        (1, &json!("failed")),
        "its time is over: {known:?}"
    );
    assert_eq!(
        node(&here, "redis-9").await,
        Value::Null,
        "a change whose time is over is not made"
    );
}

/// Another server sends this to the admin.
async fn tell(cluster: &Cluster, event: &str, value: &Value) {
    let edge = cluster.edge("stranger").await;
    let target = Target::Server(ServerName::new("admin-1").expect("a name"));
    let payload = Payload::new(value).expect("JSON");
    edge.adapter.emit(target, event, payload).await.expect("sent");
}

#[tokio::test]
async fn an_admin_of_the_version_before_is_tolerated_and_named_for_its_jobs() {
    let one = Cluster::new().await;
    // It knows no events about jobs, and takes part in everything else.
    let old = one.older_admin("admin-0").await;
    let here = one.open();
    one.bus.add_node("redis-3").expect("a good id");
    done(&here, &add(&here, "memory:redis-3").await).await;
    let detail = get(&here, &format!("/api/v1/jobs/{}-1", old.adapter.instance()))
        .await
        .problem(404);
    assert!(detail.contains("admin-0") && detail.contains("ask it"), "{detail}");
    let detail = get(&here, "/api/v1/jobs/7-1").await.problem(404);
    assert!(detail.starts_with("there is no such job"), "{detail}");
    let asked = old.adapter.ask(
        Target::Server(one.admin.name().clone()),
        "wsmesh.jobs",
        Payload::null(),
        RequestOptions::default(),
    );
    assert!(
        timeout(asked).await.expect("asked").replies.is_empty(),
        "it is an event, not a request"
    );
}

#[tokio::test]
async fn the_list_has_pages_and_rejects_cursors_and_limits_that_are_none() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for id in ["redis-3", "redis-4", "redis-5"] {
        cluster.bus.add_node(id).expect("a good id");
        done(&open, &add(&open, &format!("memory:{id}")).await).await;
    }
    let mut nodes = Vec::new();
    let mut path = "/api/v1/jobs?limit=2".to_owned();
    loop {
        let page = get(&open, &path).await.json();
        openapi::check("Jobs", &page);
        let jobs = page["jobs"].as_array().expect("a list").clone();
        nodes.extend(
            jobs.into_iter()
                .map(|job| job["node"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/jobs?limit=2&cursor={next}");
    }
    assert_eq!(nodes, ["redis-5", "redis-4", "redis-3"]);
    for query in [
        "limit=0",
        "limit=10001",
        "limit=x",
        "cursor=",
        "cursor=7",
        "cursor=zz.a",
        "after=1",
    ] {
        get(&open, &format!("/api/v1/jobs?{query}")).await.problem(400);
    }
}

#[tokio::test]
async fn a_stream_of_progress_tells_every_change_and_ends_with_the_job() {
    let one = Cluster::new_patient().await;
    let two = beside(&one, "admin-2").await;
    let (here, there) = (one.open(), two.open());
    one.bus.add_node("redis-3").expect("a good id");
    one.bus.set_fault("redis-3", Fault::Fail);
    let answer = add_by_force(&here, "memory:redis-3").await;
    let job = taken(&answer);
    has(&there, &job).await;
    let path = format!("{}/events", again_path(&job));
    // It is read to its end: that comes although the fault ends only meanwhile, and at an admin that did not accept the job.
    let heal = async { one.bus.set_fault("redis-3", Fault::None) };
    let ((kind, events), _was_set) = tokio::join!(stream(&there, &path), heal);
    assert_eq!(kind, "text/event-stream");
    let states = states(&events);
    let ends = (states.first().map(String::as_str), states.last().map(String::as_str));
    assert_eq!(ends, (Some("running"), Some("done")), "{events}");
    let (_, over) = stream(&here, &path).await;
    assert_eq!(self::states(&over), ["done"], "a job that has ended is told once");
    get(&here, "/api/v1/jobs/7/events").await.problem(404);
}

/// The state in each event of a stream.
fn states(stream: &str) -> Vec<String> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|json| {
        let job: Value = serde_json::from_str(json).expect("JSON");
        openapi::check("Job", &job);
        job["state"].as_str().expect("a state").to_owned()
    })
    .collect()
}
