//! What happens to the topology: admins on the embedded bus, in paused time. What is found and who leads is as the test says.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};
use wsmesh_adapter::{Bus, Driver, Fault, MemoryBus, NodeId, NodeState, Options, ServerName, ServiceName, Started};

use super::*;
use crate::discovery::{Found, FoundNode, Pods, Scripted};
use crate::gather::{Lack, NodeDifference};
use crate::jobs::{JOB_LIMIT, Replicas, Scaling};
use crate::kubernetes::api_server::{ApiServer, endpoint, list, modified, slice};
use crate::kubernetes::{Kubernetes, Lease, Pace, ScriptedLead, Sizes};

const LIMIT: Duration = Duration::from_secs(180);
const WINDOW: Duration = Duration::from_secs(6);

/// One admin. Dropping it ends it without a goodbye.
struct Admin {
    adapter: Adapter,
    _driver: Driver,
    jobs: Jobs,
    membership: Membership,
    lead: ScriptedLead,
    said: watch::Sender<Arc<Found>>,
}

fn bus(nodes: &[&str]) -> MemoryBus {
    MemoryBus::new(nodes.iter().copied()).expect("good ids")
}

async fn start_adapter(name: &str, bus: &MemoryBus) -> Started {
    let mut options = Options::new(
        ServerName::new(name).expect("a name"),
        ServiceName::new("admin").expect("a name"),
    );
    options.bus = Bus::Memory(bus.clone());
    options.replay_window = WINDOW;
    let started = Adapter::start(options).expect("starts");
    timeout(LIMIT, started.adapter.ready())
        .await
        .expect("it is ready in time");
    started
}

/// An admin that finds this; `other` leads until it is told otherwise.
async fn admin(name: &str, other: &str, bus: &MemoryBus, found: Found) -> Admin {
    let Started { adapter, driver, .. } = start_adapter(name, bus).await;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, WINDOW);
    tokio::spawn(jobs.clone().run(CancellationToken::new()));
    let (lead, leadership) = Leadership::scripted(name, other);
    let names = Some(PodNames::embedded("redis"));
    let membership = Membership::new(adapter.clone(), jobs.clone(), leadership, Events::nowhere(), names);
    let (said, discovery) = Scripted::new(found);
    tokio::spawn(membership.clone().run(discovery, CancellationToken::new()));
    Admin {
        adapter,
        _driver: driver,
        jobs,
        membership,
        lead,
        said,
    }
}

async fn leader(bus: &MemoryBus, found: Found) -> Admin {
    let admin = admin("admin-1", "admin-2", bus, found).await;
    admin.lead.give();
    admin
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

fn found(replicas: u32, pods: &[(u32, bool)]) -> Found {
    let names = PodNames::embedded("redis");
    let pod = |(ordinal, ready): &(u32, bool)| {
        let (id, url) = names.node(*ordinal).expect("a node");
        FoundNode {
            ordinal: Some(*ordinal),
            id,
            url,
            ready: *ready,
        }
    };
    Found {
        nodes: pods.iter().map(pod).collect(),
        replicas: Some(replicas),
        problem: None,
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut every = interval(Duration::from_millis(100));
    let waiting = async {
        while !is_so() {
            every.tick().await;
        }
    };
    timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}, in time"));
}

impl Admin {
    fn find(&self, found: Found) {
        self.said.send_replace(Arc::new(found));
    }

    fn state(&self, node: &str) -> Option<(NodeState, u64)> {
        let nodes = self.adapter.topology().into_iter();
        let mut nodes = nodes.filter(|view| view.id.as_str() == node);
        nodes.next().map(|view| (view.state, view.epoch))
    }

    fn is(&self, node: &str, state: NodeState) -> bool {
        self.state(node).is_some_and(|(is, _)| is == state)
    }

    async fn becomes(&self, node: &str, state: NodeState) {
        until(&format!("{node} is {state:?}"), || self.is(node, state)).await;
    }

    fn view(&self) -> MembershipView {
        self.membership.view().expect("it follows a StatefulSet")
    }

    fn lacks(&self) -> Vec<(String, Lack)> {
        let differences = self.view().differences.into_iter();
        differences
            .map(|NodeDifference { node, lack, .. }| (node.to_string(), lack))
            .collect()
    }

    /// That nothing happens in a long time.
    async fn changes_nothing(&self) {
        let before = self.adapter.topology();
        sleep(Duration::from_secs(30)).await;
        assert_eq!(self.adapter.topology(), before);
        assert!(self.jobs.list().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_joins_when_it_is_ready_and_is_shown_as_waiting_before() {
    let bus = bus(&["redis-0", "redis-1"]);
    let admin = leader(&bus, found(3, &[(0, true), (1, true), (2, false)])).await;
    until("it is waited for", || {
        admin.lacks() == [("redis-2".to_owned(), Lack::Waiting)]
    })
    .await;
    let view = admin.view();
    assert_eq!(
        (view.leader.as_deref(), view.replicas, view.problem),
        (Some("admin-1"), Some(3), None)
    );
    assert!(
        view.differences[0]
            .problem
            .as_ref()
            .is_some_and(|problem| problem.contains("pod redis-2 is not ready"))
    );
    admin.changes_nothing().await;
    bus.add_node("redis-2").expect("a good id");
    admin.find(found(3, &[(0, true), (1, true), (2, true)]));
    admin.becomes("redis-2", NodeState::Active).await;
    until("nothing is left to do", || admin.lacks().is_empty()).await;
    assert_eq!(admin.jobs.list().len(), 1, "through a job that every admin knows");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_refused_is_tried_again_and_every_admin_shows_why() {
    let bus = bus(&["redis-0", "redis-1"]);
    let (two, all) = (
        found(2, &[(0, true), (1, true)]),
        found(3, &[(0, true), (1, true), (2, true)]),
    );
    let (one, two) = (
        leader(&bus, two.clone()).await,
        admin("admin-2", "admin-1", &bus, two).await,
    );
    two.lead.take();
    // Before that it would be a node from the start.
    bus.add_node("redis-2").expect("a good id");
    bus.set_fault("redis-2", Fault::Fail);
    one.find(all.clone());
    two.find(all);
    let refused = [("redis-2".to_owned(), Lack::Refused)];
    until("both show it", || one.lacks() == refused && two.lacks() == refused).await;
    assert_eq!(one.view(), two.view());
    assert!(one.view().differences[0].problem.is_some());
    assert_eq!(one.state("redis-2"), None, "nothing was changed");
    sleep(Duration::from_secs(300)).await;
    bus.set_fault("redis-2", Fault::None);
    one.becomes("redis-2", NodeState::Active).await;
    until("both know", || one.lacks().is_empty() && two.lacks().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_that_is_scaled_down_from_outside_has_its_nodes_drained_at_once() {
    let bus = bus(&["elsewhere", "redis-0", "redis-1", "redis-2"]);
    let admin = leader(&bus, found(3, &[(0, true), (1, true), (2, true)])).await;
    admin.find(found(1, &[(0, true), (1, false), (2, false)]));
    admin.becomes("redis-1", NodeState::Draining).await;
    admin.becomes("redis-2", NodeState::Draining).await;
    admin.find(found(1, &[(0, true)]));
    admin.becomes("redis-1", NodeState::Gone).await;
    admin.becomes("redis-2", NodeState::Gone).await;
    assert!(admin.is("redis-0", NodeState::Active) && admin.is("elsewhere", NodeState::Active));
    assert_eq!(admin.lacks(), []);
    admin.find(found(2, &[(0, true), (1, true)]));
    admin.becomes("redis-1", NodeState::Active).await;
    assert!(admin.is("redis-2", NodeState::Gone));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_an_operator_removed_joins_again_while_the_stateful_set_has_its_pod() {
    let bus = bus(&["redis-0", "redis-1"]);
    let admin = leader(&bus, found(2, &[(0, true), (1, false)])).await;
    admin.jobs.remove(&id("redis-1")).await.expect("drained");
    admin.becomes("redis-1", NodeState::Gone).await;
    sleep(Duration::from_secs(30)).await;
    assert!(admin.is("redis-1", NodeState::Gone), "its pod is not ready");
    admin.find(found(2, &[(0, true), (1, true)]));
    admin.becomes("redis-1", NodeState::Active).await;
    assert_eq!(admin.state("redis-1"), Some((NodeState::Active, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_back_is_the_same_node_and_nothing_is_changed() {
    let bus = bus(&["redis-0", "redis-1"]);
    let whole = found(2, &[(0, true), (1, true)]);
    let admin = leader(&bus, whole.clone()).await;
    for pods in [found(2, &[(0, true), (1, false)]), found(2, &[(0, true)]), whole] {
        admin.find(pods);
        admin.changes_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_an_old_one_and_one_that_would_remove_the_last_nodes_change_nothing_and_are_shown() {
    let bus = bus(&["redis-0", "redis-1"]);
    let old = Found {
        problem: Some("the API server is away".to_owned()),
        ..found(1, &[(0, true), (1, true), (2, true)])
    };
    let admin = leader(&bus, old).await;
    for (pods, told) in [
        (None, "is away"),
        (Some(found(1, &[])), "no pod is found"),
        (Some(found(0, &[(0, false), (1, false)])), "no node is removed"),
    ] {
        if let Some(pods) = pods {
            admin.find(pods);
        }
        admin.changes_nothing().await;
        let problem = admin.view().problem.expect("a problem");
        assert!(problem.contains(told), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_leads_nothing_is_done_and_that_is_shown() {
    let bus = bus(&["redis-0", "redis-1", "redis-2"]);
    let admin = admin("admin-1", "admin-2", &bus, found(2, &[(0, true), (1, true)])).await;
    admin.changes_nothing().await;
    let view = admin.view();
    assert_eq!(
        (view.leader, view.problem.as_deref()),
        (None, Some("no admin leads yet"))
    );
    admin.lead.take();
    admin.changes_nothing().await;
    let problem = admin.view().problem.expect("a problem");
    assert!(problem.contains("admin-2 leads and has not told"), "{problem}");
    admin.lead.give();
    admin.becomes("redis-2", NodeState::Gone).await;
    assert_eq!(admin.view().problem, None);
}

#[tokio::test(start_paused = true)]
async fn an_admin_that_loses_the_lead_in_the_middle_of_a_preflight_leaves_the_node_to_the_next_leader() {
    let bus = bus(&["redis-0", "redis-1"]);
    let (two, all) = (
        found(2, &[(0, true), (1, true)]),
        found(3, &[(0, true), (1, true), (2, true)]),
    );
    let (one, two) = (
        leader(&bus, two.clone()).await,
        admin("admin-2", "admin-1", &bus, two).await,
    );
    two.lead.take();
    bus.add_node("redis-2").expect("a good id");
    bus.set_fault("redis-2", Fault::Pause);
    one.find(all.clone());
    until("it tries", || one.lacks() == [("redis-2".to_owned(), Lack::Joining)]).await;
    one.lead.take();
    bus.set_fault("redis-2", Fault::None);
    one.changes_nothing().await;
    two.find(all);
    two.lead.give();
    two.becomes("redis-2", NodeState::Active).await;
    assert_eq!(two.jobs.list()[0].admin.as_str(), "admin-2");
    drop(one);
    two.find(found(2, &[(0, true), (1, true), (2, false)]));
    two.becomes("redis-2", NodeState::Gone).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_a_scale_is_about_are_left_to_it() {
    let bus = bus(&["redis-0", "redis-1", "redis-2"]);
    let admin = leader(&bus, found(3, &[(0, true), (1, true), (2, true)])).await;
    let scaling = Scaling {
        replicas: Replicas { from: 3, to: 2 },
        version: "7".to_owned(),
        nodes: vec![id("redis-2")],
    };
    admin.jobs.scale(scaling).await.expect("accepted");
    admin.jobs.remove(&id("redis-2")).await.expect("drained");
    admin.becomes("redis-2", NodeState::Gone).await;
    sleep(Duration::from_secs(20)).await;
    assert!(
        admin.is("redis-2", NodeState::Gone),
        "the StatefulSet still has its pod"
    );
    assert_eq!(admin.lacks(), []);
}

#[tokio::test(start_paused = true)]
async fn outside_of_kubernetes_nothing_is_followed_or_shown() {
    let bus = bus(&["redis-0", "redis-1"]);
    let Started {
        adapter,
        driver: _driver,
        ..
    } = start_adapter("admin-1", &bus).await;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, WINDOW);
    let membership = Membership::new(
        adapter.clone(),
        jobs.clone(),
        Leadership::nobody(),
        Events::nowhere(),
        None,
    );
    let ended = CancellationToken::new();
    let task = tokio::spawn(
        membership
            .clone()
            .run(crate::discovery::Fixed::new(Found::default()), ended.clone()),
    );
    sleep(Duration::from_secs(30)).await;
    assert!(membership.view().is_none() && jobs.list().is_empty());
    ended.cancel();
    timeout(LIMIT, task).await.expect("it ends in time").expect("no panic");
}

/// Everything together: a Lease, slices, a StatefulSet and Events of an API server.
#[tokio::test(start_paused = true)]
async fn pods_of_an_api_server_become_nodes_and_leave_and_events_say_so() {
    let bus = bus(&["redis-0", "redis-1"]);
    let slices = |pods: &[&str]| {
        let endpoints = pods.iter().map(|pod| endpoint(pod, "10.0.0.1", json!({"ready": true})));
        slice("wsmesh-redis-x", endpoints.collect())
    };
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = [list("7", &[slices(&["redis-0", "redis-1"])])].into();
        script.replicas = Some(2);
    });
    let (client, ended) = (server.door().client(), CancellationToken::new());
    let Started {
        adapter,
        driver: _driver,
        ..
    } = start_adapter("admin-1", &bus).await;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, WINDOW);
    tokio::spawn(jobs.clone().run(ended.clone()));
    let (pods, _) = Kubernetes::watch(client.clone(), "wsmesh-redis", ended.clone());
    let (sizes, _) = Sizes::follow(client.clone(), "redis", &pods, ended.clone());
    let (events, _) = Events::about(client.clone(), "redis", sizes.clone(), "admin-1", ended.clone());
    let (lease, leadership) = Lease::new(client, "wsmesh-admin", "admin-1", Pace::default());
    tokio::spawn(lease.keep(ended.clone()));
    let names = PodNames::embedded("redis");
    let membership = Membership::new(adapter.clone(), jobs, leadership, events, Some(names.clone()));
    tokio::spawn(membership.clone().run(Pods::new(names, &pods, &sizes), ended));
    let state = |node: &str| {
        adapter
            .topology()
            .into_iter()
            .find(|view| view.id.as_str() == node)
            .map(|view| view.state)
    };

    server.until(|script| !script.watches.is_empty()).await;
    bus.add_node("redis-2").expect("a good id");
    server.script(|script| script.replicas = Some(3));
    server.push(modified("8", slices(&["redis-0", "redis-1", "redis-2"])));
    until("redis-2 joined", || state("redis-2") == Some(NodeState::Active)).await;
    server.script(|script| script.replicas = Some(1));
    server.push(modified("9", slices(&["redis-0"])));
    for node in ["redis-1", "redis-2"] {
        until("it left", || state(node) == Some(NodeState::Gone)).await;
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
    assert_eq!(
        membership.view().map(|view| (view.leader, view.problem)),
        Some((Some("admin-1".to_owned()), None))
    );
}
