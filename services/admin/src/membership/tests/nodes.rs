//! Which pods become nodes, and which nodes leave.

use super::*;
use crate::jobs::{Replicas, Scaling};

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
    assert_eq!(view.differences[0].problem, None, "it is only starting");
    admin.changes_nothing().await;
    assert_eq!(admin.view().differences[0].problem, None, "it is only starting");
    admin.changes_nothing().await;
    admin.changes_nothing().await;
    assert!(
        admin.view().differences[0]
            .problem
            .as_ref()
            .is_some_and(|problem| problem.contains("pod redis-2 is not ready"))
    );
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
async fn of_many_new_pods_only_a_few_are_examined_at_once_and_all_join() {
    let bus = bus(&["redis-0"]);
    let admin = leader(&bus, found(1, &[(0, true)])).await;
    let all: Vec<_> = (0..12).map(|ordinal| (ordinal, true)).collect();
    let new: Vec<_> = (1..12).map(|ordinal| format!("redis-{ordinal}")).collect();
    for node in &new {
        bus.add_node(node).expect("a good id");
        bus.set_fault(node, Fault::Pause);
    }
    admin.find(found(12, &all));
    let refused = || {
        let lacks = admin.lacks().into_iter();
        lacks.filter(|(_, lack)| *lack == Lack::Refused).count()
    };
    until("the first are late", || refused() > 0).await;
    assert_eq!(refused(), 3);
    for node in &new {
        bus.set_fault(node, Fault::None);
    }
    for node in &new {
        admin.becomes(node, NodeState::Active).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_somebody_else_added_during_the_preflight_is_not_added_again() {
    let bus = bus(&["redis-0"]);
    let admin = leader(&bus, found(1, &[(0, true)])).await;
    bus.add_node("redis-1").expect("a good id");
    bus.set_fault("redis-1", Fault::Pause);
    admin.find(found(2, &[(0, true), (1, true)]));
    until("it tries", || admin.lacks() == [("redis-1".to_owned(), Lack::Joining)]).await;
    sleep(Duration::from_secs(1)).await;
    admin.adapter.add_node("memory:redis-1").expect("added");
    bus.set_fault("redis-1", Fault::None);
    admin.becomes("redis-1", NodeState::Active).await;
    sleep(Duration::from_secs(10)).await;
    assert!(admin.jobs.list().is_empty() && admin.lacks().is_empty());
}
