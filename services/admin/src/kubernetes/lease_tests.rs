//! The Lease, with an API server in this process and paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::api_server::{ApiServer, Door, LIMIT, Trouble};
use super::leadership::Leadership;
use super::lease::{Lease, Pace};

/// An admin that wants the Lease.
struct Admin {
    door: Door,
    leadership: Leadership,
    /// Whether it hears a Redis node.
    hears: Arc<AtomicBool>,
    ending: CancellationToken,
    task: JoinHandle<()>,
}

impl Admin {
    fn start(server: &ApiServer, name: &str) -> Self {
        let door = server.door();
        let hears = Arc::new(AtomicBool::new(true));
        let hearing = Arc::clone(&hears);
        let hearing = move || hearing.load(Ordering::Relaxed);
        let (lease, leadership) = Lease::new(door.client(), "wsmesh-admin", name, Pace::default(), hearing);
        let ending = CancellationToken::new();
        let task = tokio::spawn(lease.keep(ending.clone()));
        Self {
            door,
            leadership,
            hears,
            ending,
            task,
        }
    }

    fn hears(&self, hears: bool) {
        self.hears.store(hears, Ordering::Relaxed);
    }

    async fn leads(&self) {
        timeout(LIMIT, self.leadership.taken()).await.expect("it leads in time");
    }

    async fn lost(&self) {
        timeout(LIMIT, self.leadership.lost()).await.expect("it stops in time");
    }

    async fn end(self) {
        self.ending.cancel();
        timeout(LIMIT, self.task)
            .await
            .expect("it ends in time")
            .expect("no panic");
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A Lease that another one holds.
fn held(version: &str, renewed: &str) -> serde_json::Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "wsmesh-admin", "namespace": "game", "resourceVersion": version},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 9, "renewTime": renewed, "leaseTransitions": 4}})
}

#[test]
fn the_times_let_a_holder_stop_before_another_one_takes_over_and_that_within_fifteen_seconds() {
    let Pace {
        duration,
        deadline,
        every,
        answer,
        deaf,
    } = Pace::default();
    assert!(deadline < duration);
    assert!(
        2 * (every + answer) <= deadline + every,
        "one lost renewal does not matter"
    );
    assert!(every + duration + every + answer <= seconds(15));
    assert!(deaf + every + every <= seconds(10), "a deaf one makes room in time");
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_at_once_after_a_clean_end() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.leads().await;
    let two = Admin::start(&server, "admin-2");
    sleep(seconds(60)).await;
    assert!(one.leadership.is_mine() && !two.leadership.is_mine());
    assert_eq!(two.leadership.leader().as_deref(), Some("admin-1"));
    let ended = Instant::now();
    one.end().await;
    two.leads().await;
    assert!(ended.elapsed() <= seconds(2), "{:?}", ended.elapsed());
    assert_eq!(two.leadership.leader().as_deref(), Some("admin-2"));
    let spec = server.script(|script| script.lease.as_ref().map(|lease| lease["spec"].clone()));
    let spec = spec.expect("a Lease");
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseTransitions"]),
        (&json!("admin-2"), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_stops_before_another_one_takes_over_within_fifteen_seconds() {
    for trouble in [
        Trouble::Hangs,
        Trouble::Refuses(500),
        Trouble::Refuses(403),
        Trouble::IsSlow(seconds(3)),
    ] {
        let server = ApiServer::new();
        let one = Admin::start(&server, "admin-1");
        one.leads().await;
        let two = Admin::start(&server, "admin-2");
        sleep(seconds(5)).await;
        one.door.set(trouble);
        let cut_off = Instant::now();
        one.lost().await;
        assert!(!two.leadership.is_mine(), "{trouble:?}");
        two.leads().await;
        assert!(cut_off.elapsed() <= seconds(15), "{trouble:?}: {:?}", cut_off.elapsed());
        assert!(!one.leadership.is_mine());
        one.door.set(Trouble::None);
        sleep(seconds(30)).await;
        assert!(
            two.leadership.is_mine() && !one.leadership.is_mine(),
            "{trouble:?}: it does not take it back"
        );
        assert_eq!(one.leadership.leader().as_deref(), Some("admin-2"));
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_that_are_slow_but_in_time_and_one_that_is_lost_keep_the_lead() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.leads().await;
    let two = Admin::start(&server, "admin-2");
    one.door.set(Trouble::IsSlow(Duration::from_millis(1900)));
    sleep(seconds(60)).await;
    assert!(one.leadership.is_mine(), "slow");
    for trouble in [Trouble::Hangs, Trouble::SwallowsAnswers] {
        one.door.set(trouble);
        sleep(seconds(2)).await;
        one.door.set(Trouble::None);
        for _ in 0..40 {
            sleep(Duration::from_millis(500)).await;
            assert!(one.leadership.is_mine() && !two.leadership.is_mine(), "{trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_clocks_say_does_not_matter_only_whether_the_lease_changes() {
    // A holder whose clock is decades behind renews: it keeps the Lease.
    let server = ApiServer::new();
    server.script(|script| script.lease = Some(held("a", "1990-01-01T00:00:00.000000Z")));
    let one = Admin::start(&server, "admin-1");
    for renewal in 0..20 {
        sleep(seconds(3)).await;
        let time = format!("1990-01-01T00:00:{renewal:02}.000000Z");
        server.script(|script| script.lease = Some(held(&format!("b{renewal}"), &time)));
        assert!(!one.leadership.is_mine(), "{renewal}");
    }
    // Its clock jumps into the next century, and it does not renew any more: that helps it nothing.
    server.script(|script| script.lease = Some(held("c", "2099-01-01T00:00:00.000000Z")));
    sleep(seconds(8)).await;
    assert!(!one.leadership.is_mine());
    one.leads().await;
    let transitions = server.script(|script| {
        script
            .lease
            .as_ref()
            .map(|lease| lease["spec"]["leaseTransitions"].clone())
    });
    assert_eq!(transitions, Some(json!(5)));
}

#[tokio::test(start_paused = true)]
async fn a_holder_stops_as_soon_as_it_sees_that_another_one_has_the_lease() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.leads().await;
    server.script(|script| script.lease = Some(held("forced", "2026-01-01T00:00:00.000000Z")));
    let forced = Instant::now();
    one.lost().await;
    assert!(forced.elapsed() <= seconds(2), "{:?}", forced.elapsed());
    assert_eq!(one.leadership.leader().as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_is_made_again_and_an_admin_that_was_restarted_goes_on() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.leads().await;
    server.script(|script| script.lease = None);
    sleep(seconds(10)).await;
    assert!(one.leadership.is_mine() && server.script(|script| script.lease.is_some()));
    one.task.abort();
    let again = Admin::start(&server, "admin-1");
    let begun = Instant::now();
    again.leads().await;
    assert!(begun.elapsed() <= seconds(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_may_not_be_used_is_shown_and_used_once_it_may() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.door.set(Trouble::Refuses(403));
    sleep(seconds(10)).await;
    let problem = one.leadership.problem().expect("a problem");
    assert_eq!(
        (problem.as_str(), one.leadership.is_mine()),
        ("it is forbidden (403 Forbidden)", false)
    );
    one.door.set(Trouble::None);
    one.leads().await;
    sleep(seconds(2)).await;
    assert_eq!(one.leadership.problem(), None);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_hears_no_redis_node_gives_the_lease_to_one_that_does() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.leads().await;
    let two = Admin::start(&server, "admin-2");
    one.hears(false);
    sleep(seconds(3)).await;
    one.hears(true);
    sleep(seconds(30)).await;
    assert!(one.leadership.is_mine(), "a moment is nothing");
    let deaf = Instant::now();
    one.hears(false);
    two.leads().await;
    assert!(deaf.elapsed() <= seconds(10), "{:?}", deaf.elapsed());
    assert!(!one.leadership.is_mine());
    two.hears(false);
    two.lost().await;
    sleep(seconds(60)).await;
    assert!(
        !one.leadership.is_mine() && !two.leadership.is_mine(),
        "nobody hears one"
    );
    assert_eq!((one.leadership.leader(), one.leadership.problem()), (None, None));
    one.hears(true);
    one.leads().await;
}

#[tokio::test(start_paused = true)]
async fn an_admin_does_not_take_the_lease_before_it_hears_a_redis_node() {
    let server = ApiServer::new();
    let one = Admin::start(&server, "admin-1");
    one.hears(false);
    sleep(seconds(60)).await;
    assert!(!one.leadership.is_mine() && server.script(|script| script.lease.is_none()));
    one.hears(true);
    one.leads().await;
}

#[tokio::test(start_paused = true)]
async fn an_admin_that_ends_in_the_middle_of_a_renewal_gives_the_lease_back_all_the_same() {
    for (trouble, others) in [
        (Trouble::SwallowsAnswers, Trouble::None),
        (Trouble::IsSlow(seconds(1)), Trouble::IsSlow(seconds(1))),
    ] {
        let server = ApiServer::new();
        let one = Admin::start(&server, "admin-1");
        one.leads().await;
        let two = Admin::start(&server, "admin-2");
        sleep(seconds(5)).await;
        let written = server.script(|script| script.lease_writes);
        one.door.set(trouble);
        server.until(|script| script.lease_writes > written).await;
        one.door.set(others);
        let ended = Instant::now();
        one.end().await;
        two.leads().await;
        assert!(ended.elapsed() <= seconds(6), "{trouble:?}: {:?}", ended.elapsed());
    }
}
