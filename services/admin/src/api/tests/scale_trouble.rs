//! What goes wrong while the StatefulSet of the Redis nodes is scaled: the Kubernetes API, the nodes, other people, and the admin that
//! leads.

use std::time::Duration;

use serde_json::{Value, json};
use wsmesh_adapter::Fault;

use super::fixture::{Cluster, get, until};
use super::nodes::{again_path, done, ended, node, taken};
use super::scale::{cluster_of, scale};
use super::stateful_set::{Fate, HASTY, PATIENT, StatefulSet};

fn why(job: &Value) -> &str {
    assert_eq!(job["state"], "failed", "{job}");
    job["why"].as_str().expect("a reason")
}

#[tokio::test]
async fn an_api_server_that_has_trouble_for_a_while_delays_the_job_only() {
    let mut cluster = cluster_of("admin-1", 3).await;
    let set = StatefulSet::start(3).await;
    let open_fates = [Fate::Fails(500), Fate::Hangs, Fate::Fails(429), Fate::Fails(409)];
    set.changes(open_fates);
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 2).await;
    set.reads([Fate::Fails(503), Fate::Hangs]);
    done(&open, &answer).await;
    assert_eq!((set.asked(), set.replicas()), (vec![2; 5], 2));
}

#[tokio::test]
async fn a_change_that_was_made_although_it_was_not_answered_is_not_made_again() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    set.changes([Fate::ChangesAndFails(500)]);
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    done(&open, &scale(&open, 1).await).await;
    assert_eq!(set.asked(), [1]);
}

#[tokio::test]
async fn a_right_that_is_missing_fails_the_job_and_gives_the_nodes_that_were_drained_back() {
    let mut cluster = cluster_of("admin-1", 3).await;
    let set = StatefulSet::start(3).await;
    set.changes([Fate::Fails(403)]);
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let job = ended(&open, &scale(&open, 2).await).await;
    assert!(
        why(&job).contains("get and patch of statefulsets/scale") && why(&job).contains("scale again"),
        "{job}"
    );
    assert_eq!(node(&open, "redis-2").await["state"], "gone");
    assert_eq!(
        (set.replicas(), cluster.jobs.scale_target()),
        (3, None),
        "whoever follows the StatefulSet lets redis-2 join again"
    );
    let again = ended(&open, &scale(&open, 2).await).await;
    assert_eq!(again["state"], "done", "{again}");
    assert_ne!(again["id"], job["id"]);
}

#[tokio::test]
async fn an_api_server_that_stays_away_fails_the_job_in_time() {
    for fate in [Fate::Fails(500), Fate::Hangs] {
        let mut cluster = cluster_of("admin-1", 2).await;
        let set = StatefulSet::start(2).await;
        set.changes([fate; 1000]);
        let _leading = set.led_by(&mut cluster, HASTY);
        let open = cluster.open();
        let job = ended(&open, &scale(&open, 3).await).await;
        assert!(
            why(&job).starts_with("for 0.3 s: ") && why(&job).contains("scale again"),
            "{job}"
        );
        assert_eq!((set.replicas(), cluster.jobs.scale_target()), (2, None));
    }
}

#[tokio::test]
async fn somebody_else_who_scales_meanwhile_ends_the_job() {
    let mut cluster = cluster_of("admin-1", 4).await;
    let set = StatefulSet::start(4).await;
    let open_scaler = set.scaler(&cluster);
    cluster.scaler = Some(open_scaler);
    let open = cluster.open();
    let answer = scale(&open, 2).await;
    set.set(6);
    let _leading = set.led_by(&mut cluster, PATIENT);
    let job = ended(&open, &answer).await;
    assert!(why(&job).contains("6 replicas by someone else"), "{job}");
    assert_eq!((set.asked(), set.replicas()), (vec![], 6));
    assert_eq!(node(&open, "redis-3").await["state"], "active", "nothing was drained");
}

#[tokio::test]
async fn somebody_else_who_takes_the_change_back_is_not_fought() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 3).await;
    until("the StatefulSet is scaled", async || set.replicas() == 3).await;
    set.set(2);
    let job = ended(&open, &answer).await;
    assert!(why(&job).contains("has 2 replicas again"), "{job}");
    assert_eq!(set.asked(), [3]);
}

/// No server hears redis-0 any more.
async fn unheard(cluster: &Cluster) {
    cluster.bus.set_fault("redis-0", Fault::Fail);
    let adapter = cluster.admin.clone();
    until("redis-0 is not heard", async || {
        let topology = adapter.topology();
        let first = topology.iter().find(|node| node.id.as_str() == "redis-0");
        first.is_some_and(|node| node.servers.iter().all(|at| !at.hears))
    })
    .await;
}

#[tokio::test]
async fn a_node_that_cannot_leave_fails_the_job_and_no_pod_ends() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    unheard(&cluster).await;
    let _leading = set.led_by(&mut cluster, HASTY);
    let open = cluster.open();
    let job = ended(&open, &scale(&open, 1).await).await;
    assert!(why(&job).starts_with("redis-1 cannot leave: "), "{job}");
    assert_eq!((set.asked(), set.replicas()), (vec![], 2));
}

#[tokio::test]
async fn a_node_that_cannot_leave_for_a_moment_delays_the_job_only() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    unheard(&cluster).await;
    let _leading = set.led_by(&mut cluster, PATIENT);
    let open = cluster.open();
    let answer = scale(&open, 1).await;
    let read = set.read();
    until("it was tried more than once", async || set.read() > read + 3).await;
    cluster.bus.set_fault("redis-0", Fault::None);
    done(&open, &answer).await;
    assert_eq!(set.asked(), [1]);
}

#[tokio::test]
async fn an_admin_that_ends_in_the_middle_is_followed_by_another_one_that_goes_on() {
    let mut one = cluster_of("admin-1", 4).await;
    let mut two = Cluster::patient("admin-2", one.bus.clone()).await;
    one.knows("admin-2").await;
    two.knows("admin-1").await;
    let set = StatefulSet::start(4).await;
    let leading = set.led_by(&mut one, PATIENT);
    two.scaler = Some(set.scaler(&two));
    let there = two.open();
    let answer = scale(&one.open(), 2).await;
    until("the first node leaves", async || {
        let state = node(&there, "redis-3").await["state"].clone();
        state == "draining" || state == "gone"
    })
    .await;
    leading.abort();
    one.crash();
    assert_eq!(set.asked(), [] as [u64; 0], "it ended in the middle");
    let path = again_path(&taken(&answer));
    until("the other admin knows the job", async || {
        get(&there, &path).await.status == 200
    })
    .await;
    let _leading = set.led_by(&mut two, PATIENT);
    let job = done(&there, &answer).await;
    assert_eq!((&job["admin"], set.asked()), (&json!("admin-1"), vec![2]));
    for gone in ["redis-3", "redis-2"] {
        assert_eq!(node(&there, gone).await["state"], "gone");
    }
}

#[tokio::test]
async fn an_admin_that_takes_over_after_the_pods_were_told_to_end_only_ends_the_job() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    let leading = set.led_by(&mut cluster, PATIENT);
    // The answer does not come, and the admin does not lead any more.
    set.changes([Fate::ChangesAndFails(500)]);
    let open = cluster.open();
    let answer = scale(&open, 1).await;
    until("the StatefulSet is scaled", async || set.replicas() == 1).await;
    leading.abort();
    let _leading = set.led_by(&mut cluster, PATIENT);
    done(&open, &answer).await;
    assert_eq!(set.asked(), [1]);
}

#[tokio::test]
async fn of_two_scales_that_two_admins_accept_at_once_one_is_carried_out_and_the_other_says_so() {
    let mut one = cluster_of("admin-1", 2).await;
    let mut two = Cluster::patient("admin-2", one.bus.clone()).await;
    one.knows("admin-2").await;
    two.knows("admin-1").await;
    let set = StatefulSet::start(2).await;
    one.scaler = Some(set.scaler(&one));
    two.scaler = Some(set.scaler(&two));
    let (here, there) = (one.open(), two.open());
    let answers = tokio::join!(scale(&here, 3), scale(&there, 4));
    if answers.0.status == 409 || answers.1.status == 409 {
        // One of them heard of the other in time.
        return;
    }
    let jobs = [taken(&answers.0), taken(&answers.1)];
    for job in &jobs {
        for open in [&here, &there] {
            until("both are known to both", async || {
                get(open, &again_path(job)).await.status == 200
            })
            .await;
        }
    }
    let _leading = set.led_by(&mut one, PATIENT);
    let ended = async || {
        let mut ends = Vec::new();
        for job in &jobs {
            let job = get(&there, &again_path(job)).await.json();
            ends.extend(job["why"].as_str().map(str::to_owned));
        }
        ends
    };
    until("one has given way", async || !ended().await.is_empty()).await;
    let ends = ended().await;
    assert!(
        ends.len() == 1 && ends[0].contains("accepted at the same moment"),
        "{ends:?}"
    );
    until("the other one is carried out", async || set.replicas() != 2).await;
    tokio::task::yield_now().await;
    assert_eq!(set.asked().len(), 1);
}

#[tokio::test]
async fn a_scale_that_nobody_carries_out_fails_in_time_everywhere() {
    let mut cluster = cluster_of("admin-1", 2).await;
    let set = StatefulSet::start(2).await;
    cluster.jobs = cluster.jobs.clone().with_limit(Duration::from_millis(100));
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    let job = ended(&open, &scale(&open, 3).await).await;
    assert!(why(&job).contains("redis-2"), "{job}");
    assert_eq!(set.asked(), [] as [u64; 0]);
}
