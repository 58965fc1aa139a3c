//! Lists of jobs of several admins, merged in whatever order.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::replicas::Replicas;
use super::*;

fn name(text: &str) -> ServerName {
    ServerName::new(text).expect("a name")
}

fn node(text: &str) -> NodeId {
    NodeId::new(text).expect("an id")
}

fn change(epoch: u64, attempt: u32) -> Change {
    Change {
        epoch,
        attempt,
        url: "redis://redis-4:6379#redis-4".to_owned(),
        missing: Vec::new(),
    }
}

/// A running job, accepted by this admin at this second.
fn running(attempt: u32, admin: &str, at_s: i64) -> Job {
    Job {
        started_at: Timestamp::from_second(at_s).expect("a time"),
        ..Job::begin(What::Add, node("redis-4"), change(1, attempt), name(admin))
    }
}

/// How this admin judged the job at this second.
fn ended(job: Job, state: JobState, judge: &str, at_s: i64) -> Job {
    Job {
        state,
        why: (state == JobState::Failed).then(|| format!("as {judge} saw it")),
        finished_at: Some(Timestamp::from_second(at_s).expect("a time")),
        judge: Some(name(judge)),
        ..job
    }
}

/// What everyone sees of the jobs.
fn shown(ledger: &Ledger) -> Vec<serde_json::Value> {
    let shown = ledger.jobs().map(|job| serde_json::to_value(job).expect("JSON"));
    shown.collect()
}

/// Every order of these.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        orders(&rest).into_iter().map(move |mut order| {
            order.insert(0, first.clone());
            order
        })
    };
    (0..items.len()).flat_map(first).collect()
}

#[test]
fn in_whatever_order_and_however_often_news_come_all_admins_have_the_same_list() {
    let (one, two) = (running(1, "admin-2", 10), running(1, "admin-1", 10));
    let again = running(2, "admin-1", 90);
    let versions = [
        one.clone(),
        two.clone(),
        ended(one, JobState::Failed, "admin-2", 70),
        ended(two.clone(), JobState::Failed, "admin-1", 71),
        ended(two, JobState::Done, "admin-1", 72),
        again,
    ];
    let mut expected = None;
    for order in orders(&versions) {
        let mut ledger = Ledger::default();
        for version in order.iter().chain(&order) {
            ledger.merge(version.clone());
        }
        let shown = shown(&ledger);
        assert_eq!(expected.get_or_insert_with(|| shown.clone()), &shown, "{order:#?}");
    }
    let list = expected.expect("there are orders");
    let list: Vec<_> = list.iter().map(|job| (&job["admin"], &job["state"])).collect();
    let (done, running) = (json!("done"), json!("running"));
    let one = json!("admin-1");
    assert_eq!(list, [(&one, &done), (&one, &running)]);
}

#[test]
fn two_admins_that_accept_one_change_at_the_same_moment_give_it_one_id() {
    let (mut one, mut two) = (Ledger::default(), Ledger::default());
    let (here, _) = one.begin(What::Add, &node("redis-4"), change(1, 1), &name("admin-1"));
    let (there, _) = two.begin(What::Add, &node("redis-4"), change(1, 1), &name("admin-2"));
    assert_eq!(here.id, there.id);
    one.merge(there);
    two.merge(here);
    assert_eq!(shown(&one), shown(&two));
    for (what, id, epoch) in [
        (What::Remove, "redis-4", 1),
        (What::Add, "redis-5", 1),
        (What::Add, "redis-4", 2),
    ] {
        let (other, is_new) = one.begin(what, &node(id), change(epoch, 1), &name("admin-1"));
        assert!(is_new && one.jobs().filter(|job| job.id == other.id).count() == 1);
    }
}

#[test]
fn a_change_is_tried_again_only_after_it_has_failed_wherever_that_was() {
    let mut ledger = Ledger::default();
    let again = |ledger: &mut Ledger| ledger.begin(What::Add, &node("redis-4"), change(1, 1), &name("admin-1"));
    let (first, is_new) = again(&mut ledger);
    assert!(is_new && again(&mut ledger) == (first.clone(), false));
    ledger.merge(ended(first.clone(), JobState::Failed, "admin-2", 70));
    let (second, is_new) = again(&mut ledger);
    assert!(is_new && second.id != first.id);
    ledger.merge(ended(second.clone(), JobState::Done, "admin-2", 80));
    let (known, is_new) = again(&mut ledger);
    assert!(!is_new && known.id == second.id && known.state == JobState::Done);
}

#[test]
fn an_admin_that_knows_less_is_noticed_and_one_that_knows_as_much_is_not() {
    let mut ledger = Ledger::default();
    let told = running(1, "admin-1", 10);
    let merged = |is_news, is_behind| Merged { is_news, is_behind };
    assert_eq!(ledger.merge(told.clone()), merged(true, false));
    assert_eq!(ledger.merge(told.clone()), merged(false, false));
    let end = ended(told.clone(), JobState::Done, "admin-1", 20);
    assert_eq!(ledger.merge(end.clone()), merged(true, false));
    assert_eq!(ledger.merge(told), merged(false, true), "late news");
    let both = ended(running(1, "admin-0", 9), JobState::Failed, "admin-2", 19);
    assert_eq!(
        ledger.merge(both),
        merged(true, true),
        "it knows the start, and not the end"
    );
    assert!(ledger.merge(end).is_behind);
}

#[test]
fn the_time_limit_counts_from_the_first_admin_also_where_the_job_is_new() {
    let mut ledger = Ledger::default();
    let now = Instant::now();
    let later = now + Duration::from_secs(70);
    let limit = |_: &Job| Duration::from_secs(60);
    let early = Job {
        began: now,
        ..running(1, "admin-1", 10)
    };
    let late = Job {
        began: now + Duration::from_secs(50),
        ..early.clone()
    };
    let (nodes, counted) = (Vec::new(), BTreeSet::new());
    let sight = Sight {
        nodes: &nodes,
        counted: &counted,
        is_clear: false,
        now: later,
    };
    ledger.merge(late);
    assert!(ledger.judge(&sight, &name("admin-2"), limit).is_empty(), "not yet");
    ledger.merge(early.clone());
    let ended = ledger.judge(&sight, &name("admin-2"), limit);
    assert_eq!(
        ended,
        [early.id.as_str()],
        "also for an admin that is cut off and does not know the node"
    );
    let job = ledger.job(&early.id).expect("kept");
    assert!(job.why.as_ref().is_some_and(|why| why.contains("60 s")), "{job:?}");
}

#[test]
fn the_last_hundred_jobs_are_kept_and_a_running_job_is_not_dropped() {
    let mut ledger = Ledger::default();
    ledger.merge(running(1, "admin-1", 0));
    for attempt in 2..=MOST_JOBS as u32 + 6 {
        let job = running(attempt, "admin-1", attempt.into());
        ledger.merge(ended(job, JobState::Done, "admin-1", 1000));
    }
    let kept: Vec<_> = ledger.jobs().map(|job| job.change.attempt).collect();
    assert_eq!((kept.len(), kept[0], kept[1]), (MOST_JOBS, 1, 8));
    let old = ended(running(2, "admin-1", 2), JobState::Done, "admin-1", 1000);
    assert!(!ledger.merge(old).is_news, "one that was dropped does not come back");
    assert_eq!(ledger.jobs().count(), MOST_JOBS);
}

fn scaling(to: u32) -> Scaling {
    Scaling {
        replicas: Replicas { from: 3, to },
        version: "7".to_owned(),
        nodes: Vec::new(),
    }
}

#[test]
fn one_scale_runs_at_a_time_and_one_that_failed_is_tried_again_as_another_job() {
    let (mut one, mut two, me) = (Ledger::default(), Ledger::default(), name("admin-1"));
    let (first, is_new) = one.begin_scale(scaling(5), &me).expect("accepted");
    assert!(is_new && one.begin_scale(scaling(5), &me) == Ok((first.clone(), false)));
    let running = one.begin_scale(scaling(4), &me).expect_err("another one runs");
    assert_eq!(running.id, first.id);
    let (there, _) = two.begin_scale(scaling(5), &name("admin-2")).expect("accepted");
    assert_eq!(there.id, first.id, "at the same moment, at two admins");
    assert!(one.end(&first.id, Err("forbidden".to_owned()), &me));
    assert!(!one.end(&first.id, Ok(()), &me), "it has ended");
    assert_eq!(one.scales().count(), 0);
    let (second, is_new) = one.begin_scale(scaling(5), &me).expect("accepted");
    assert!(is_new && second.id != first.id);
    let add = one.begin(What::Add, &node("redis-4"), change(1, 1), &me);
    assert!(add.1, "nodes are changed meanwhile");
}

#[test]
fn of_two_scales_that_were_accepted_at_the_same_moment_the_same_one_is_first_everywhere() {
    let scale = |to, admin, at_s| Job {
        started_at: Timestamp::from_second(at_s).expect("a time"),
        ..Job::begin_scale(scaling(to), 1, name(admin))
    };
    let (early, late) = (scale(5, "admin-2", 10), scale(4, "admin-1", 11));
    for order in [[&early, &late], [&late, &early]] {
        let mut ledger = Ledger::default();
        for job in order {
            ledger.merge(job.clone());
        }
        let ids: Vec<_> = ledger.scales().map(|job| job.id.clone()).collect();
        assert_eq!(ids, [early.id.clone(), late.id.clone()]);
    }
}

#[test]
fn a_scale_down_counts_for_a_while_after_this_admin_learned_of_its_end_whatever_other_clocks_say() {
    for at_s in [0, 10_000_000_000] {
        let mut ledger = Ledger::default();
        let scaling = Scaling {
            replicas: Replicas { from: 5, to: 3 },
            ..scaling(3)
        };
        let job = Job::begin_scale(scaling, 1, name("admin-2"));
        ledger.merge(ended(job, JobState::Done, "admin-2", at_s));
        let now = Instant::now();
        assert_eq!(ledger.scale_target(now), Some(3), "{at_s}");
        assert_eq!(ledger.scale_target(now + SETTLED_AFTER), None, "{at_s}");
    }
}

#[test]
fn readers_get_each_job_that_changed_once_with_its_newest_version() {
    let mut ledger = Ledger::default();
    let first = running(1, "admin-1", 10);
    ledger.merge(first.clone());
    let seen = ledger.revision();
    ledger.merge(running(2, "admin-1", 20));
    ledger.merge(ended(first.clone(), JobState::Done, "admin-1", 30));
    let changed = ledger.changed_since(seen);
    let states: Vec<_> = changed.iter().map(|job| (job.change.attempt, job.state)).collect();
    assert_eq!(states, [(2, JobState::Running), (1, JobState::Done)]);
    ledger.merge(first);
    assert!(ledger.changed_since(ledger.revision()).is_empty());
}
