//! Who acts, and when.

use super::*;

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
async fn an_admin_that_hears_no_redis_node_says_so_and_does_nothing_before_it_knows_the_cluster() {
    let bus = bus(&["redis-0"]);
    bus.set_fault("redis-0", Fault::Fail);
    let started = begin_adapter("admin-1", &bus);
    bus.add_node("redis-1").expect("a good id");
    let admin = run_admin("admin-1", "admin-2", started, found(2, &[(0, true), (1, true)]));
    admin.lead.give();
    sleep(Duration::from_secs(30)).await;
    assert!(admin.jobs.list().is_empty(), "{:?}", admin.jobs.list());
    let problem = admin.view().problem.expect("a problem");
    assert!(problem.contains("hears no Redis node"), "{problem}");
    bus.set_fault("redis-0", Fault::None);
    admin.becomes("redis-1", NodeState::Active).await;
    assert_eq!(admin.view().problem, None);
}
