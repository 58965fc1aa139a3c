//! With an API server in this process.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::discovery::Pods;
use crate::kubernetes::api_server::{ApiServer, endpoint, list, modified, slice};
use crate::kubernetes::{Kubernetes, Lease, Pace, Sizes};

/// An admin of an API server.
struct Follower {
    server: ApiServer,
    adapter: Adapter,
    _driver: Driver,
    membership: Membership,
}

/// A slice with these pods.
fn slices(pods: &[(&str, bool)]) -> Value {
    let endpoints = pods
        .iter()
        .map(|(pod, ready)| endpoint(pod, "10.0.0.1", json!({"ready": true, "serving": ready})));
    slice("wsmesh-redis-x", endpoints.collect())
}

/// An admin whose bus and StatefulSet have `redis-0` and `redis-1`, and that watches the pods.
async fn follower(bus: &MemoryBus) -> Follower {
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = [list("7", &[slices(&[("redis-0", true), ("redis-1", true)])])].into();
        script.replicas = Some(2);
    });
    let (client, ended) = (server.door().client(), CancellationToken::new());
    let Started { adapter, driver, .. } = start_adapter("admin-1", bus).await;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, WINDOW);
    tokio::spawn(jobs.clone().run(ended.clone()));
    let (pods, _) = Kubernetes::watch(client.clone(), "wsmesh-redis", ended.clone());
    let (sizes, _) = Sizes::follow(client.clone(), "redis", &pods, ended.clone());
    let (events, _) = Events::about(client.clone(), "redis", sizes.clone(), "admin-1", ended.clone());
    let me = adapter.clone();
    let (lease, leadership) = Lease::new(client, "wsmesh-admin", "admin-1", Pace::default(), move || {
        me.is_ready()
    });
    tokio::spawn(lease.keep(ended.clone()));
    let names = PodNames::embedded("redis");
    let membership = Membership::new(adapter.clone(), jobs, leadership, events, names.clone());
    tokio::spawn(membership.clone().run(Pods::new(names, &pods, &sizes), ended));
    server.until(|script| !script.watches.is_empty()).await;
    Follower {
        server,
        adapter,
        _driver: driver,
        membership,
    }
}

impl Follower {
    async fn becomes(&self, node: &str, state: NodeState) {
        let is = || {
            let mut nodes = self.adapter.topology().into_iter();
            nodes.any(|view| view.id.as_str() == node && view.state == state)
        };
        until(&format!("{node} is {state:?}"), is).await;
    }
}

/// Everything together: a Lease, slices, a StatefulSet and Events of an API server.
#[tokio::test(start_paused = true)]
async fn pods_of_an_api_server_become_nodes_and_leave_and_events_say_so() {
    let bus = bus(&["redis-0", "redis-1"]);
    let follower = follower(&bus).await;
    let server = &follower.server;
    bus.add_node("redis-2").expect("a good id");
    server.script(|script| script.replicas = Some(3));
    let three = slices(&[("redis-0", true), ("redis-1", true), ("redis-2", true)]);
    server.push(modified("8", three));
    follower.becomes("redis-2", NodeState::Active).await;
    // An admin that has just started waits a moment before it calls a change done.
    let is_told = |event: &Value| event["reason"] == "NodeJoined";
    server.until(|script| script.events.iter().any(is_told)).await;
    server.script(|script| script.replicas = Some(1));
    server.push(modified("9", slices(&[("redis-0", true)])));
    for node in ["redis-1", "redis-2"] {
        follower.becomes(node, NodeState::Gone).await;
    }
    server.until(|script| script.events.len() >= 5).await;
    let reasons = server.script(|script| {
        script
            .events
            .iter()
            .map(|event| event["reason"].clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        reasons,
        ["LeaderElected", "NodeJoined", "ScaledOutside", "NodeLeft", "NodeLeft"]
    );
    let view = follower.membership.view();
    assert_eq!((view.leader.as_deref(), view.problem), (Some("admin-1"), None));
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_joins_although_another_one_never_stops_flapping() {
    let bus = bus(&["redis-0", "redis-1"]);
    let follower = follower(&bus).await;
    bus.add_node("redis-2").expect("a good id");
    follower.server.script(|script| script.replicas = Some(3));
    let server = follower.server.clone();
    let flapping = tokio::spawn(async move {
        for turn in 0_u32.. {
            let pods = [("redis-0", true), ("redis-1", turn % 2 == 1), ("redis-2", true)];
            server.push(modified("9", slices(&pods)));
            sleep(Duration::from_millis(200)).await;
        }
    });
    let begun = Instant::now();
    follower.becomes("redis-2", NodeState::Active).await;
    assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
    flapping.abort();
}
