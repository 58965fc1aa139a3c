//! Tests of the roster: who joins, who left, and which beacons are late.

use super::*;
use crate::cluster::Parting;
use crate::wire::{NodeId, ServiceName};

fn beacon(name: &str, instance: u64, number: u64) -> Beacon {
    Beacon {
        format: crate::cluster::beacon::FORMAT,
        cluster_id: Default::default(),
        name: ServerName::new(name).expect("valid"),
        service: ServiceName::new("ws-node").expect("valid"),
        instance: Instance(instance),
        version: "1".into(),
        number,
        counted: true,
        heard: vec![NodeId::new("redis-0").expect("valid")],
        runs: Default::default(),
        gaps: BTreeMap::new(),
        subscribers: BTreeMap::new(),
        mark: 1,
        topology: serde_json::Value::Null,
        settings: BTreeMap::new(),
        clients: 0,
        rooms: 0,
        parting: Parting::Staying,
        rival: None,
    }
}

fn name(name: &str) -> ServerName {
    ServerName::new(name).expect("valid")
}

fn roster() -> (Roster, Instant) {
    (Roster::new(name("me"), Instance(10)), Instant::now())
}

#[test]
fn a_server_joins_with_its_first_beacon_and_leaves_with_its_goodbye() {
    let (mut roster, now) = roster();
    assert_eq!(roster.on_beacon(beacon("a", 1, 1), now), [Change::Joined(name("a"))]);
    assert_eq!(roster.on_beacon(beacon("a", 1, 2), now), []);
    let goodbye = Beacon {
        parting: Parting::Leaving,
        ..beacon("a", 1, 3)
    };
    assert_eq!(roster.on_beacon(goodbye, now), [Change::Left(name("a"), Instance(1))]);
    assert_eq!(roster.len(), 0);
    assert_eq!(
        roster.on_beacon(beacon("a", 1, 2), now),
        [],
        "a copy through a slower node"
    );
    assert_eq!(
        roster.on_beacon(beacon("a", 2, 1), now),
        [Change::Joined(name("a"))],
        "started again"
    );
}

#[test]
fn an_older_process_does_not_replace_a_younger_but_a_restart_is_seen() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 5, 9), now);
    assert_eq!(roster.on_beacon(beacon("a", 4, 10), now), []);
    let changes = roster.on_beacon(beacon("a", 6, 1), now);
    assert_eq!(
        changes,
        [Change::Left(name("a"), Instance(5)), Change::Joined(name("a"))]
    );
    assert_eq!(roster.instance_of(&name("a")), Some(Instance(6)));
}

#[test]
fn a_silent_server_is_forgotten_after_six_intervals() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 1, 1), now);
    assert_eq!(roster.expire(now + Duration::from_secs(6)), []);
    let changes = roster.expire(now + Duration::from_millis(6100));
    assert_eq!(changes, [Change::Left(name("a"), Instance(1))]);
}

#[test]
fn a_silent_server_comes_back_with_its_next_beacon_but_not_with_a_late_one() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 1, 5), now);
    let later = now + Duration::from_secs(7);
    roster.expire(later);
    assert_eq!(roster.on_beacon(beacon("a", 1, 5), later), []);
    assert_eq!(roster.on_beacon(beacon("a", 1, 6), later), [Change::Joined(name("a"))]);
}

#[test]
fn when_the_younger_of_two_processes_with_one_name_leaves_the_older_one_is_back() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 1, 5), now);
    let changes = roster.on_beacon(beacon("a", 2, 1), now);
    assert_eq!(
        changes,
        [Change::Left(name("a"), Instance(1)), Change::Joined(name("a"))]
    );
    let goodbye = Beacon {
        parting: Parting::Leaving,
        ..beacon("a", 2, 2)
    };
    assert_eq!(roster.on_beacon(goodbye, now), [Change::Left(name("a"), Instance(2))]);
    assert_eq!(roster.on_beacon(beacon("a", 1, 6), now), [Change::Joined(name("a"))]);
    assert_eq!(roster.instance_of(&name("a")), Some(Instance(1)));
}

#[test]
fn a_restart_after_the_wall_clock_was_set_back_is_accepted_once_the_former_process_is_silent() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 9, 50), now);
    assert_eq!(
        roster.on_beacon(beacon("a", 2, 1), now),
        [],
        "the former one may be alive"
    );
    let later = now + Duration::from_secs(7);
    roster.expire(later);
    assert_eq!(roster.on_beacon(beacon("a", 2, 7), later), [Change::Joined(name("a"))]);
    assert_eq!(roster.on_beacon(beacon("a", 9, 50), later), [], "a late copy");
}

#[test]
fn a_process_that_was_stopped_does_not_consider_others_gone() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 1, 1), now);
    let woken = now + Duration::from_secs(60);
    roster.be_patient(woken);
    assert_eq!(roster.expire(woken), []);
    let last: Vec<_> = roster.iter().map(|(_, last)| last).collect();
    assert_eq!(last, [now], "no beacon arrived since");
    let later = woken + Duration::from_secs(7);
    assert_eq!(roster.expire(later), [Change::Left(name("a"), Instance(1))]);
}

#[test]
fn a_change_of_hearing_is_reported() {
    let (mut roster, now) = roster();
    roster.on_beacon(beacon("a", 1, 1), now);
    let deaf = Beacon {
        heard: vec![],
        ..beacon("a", 1, 2)
    };
    assert_eq!(roster.on_beacon(deaf.clone(), now), [Change::Hearing]);
    assert_eq!(roster.on_beacon(deaf, now), [], "a late copy");
}

#[test]
fn a_node_that_a_server_hears_after_its_restart_is_a_change_of_hearing() {
    let (mut roster, now) = roster();
    let of_run = |run, number| Beacon {
        runs: serde_json::json!({"redis-0": run}).into(),
        ..beacon("a", 1, number)
    };
    roster.on_beacon(of_run("0f7a6b5c", 1), now);
    assert_eq!(roster.on_beacon(of_run("0f7a6b5c", 2), now), []);
    assert_eq!(roster.on_beacon(of_run("99999998", 3), now), [Change::Hearing]);
}

#[test]
fn the_younger_of_two_processes_with_one_name_steps_back_when_the_older_names_it() {
    let (roster, _) = roster();
    assert_eq!(
        roster.on_name_conflict(&beacon("me", 20, 1)),
        [Change::NameConflict(Instance(20))]
    );
    assert_eq!(
        roster.on_name_conflict(&beacon("me", 3, 1)),
        [],
        "an old beacon that was delayed"
    );
    let told = Beacon {
        rival: Some(Instance(10)),
        ..beacon("me", 3, 1)
    };
    assert_eq!(roster.on_name_conflict(&told), [Change::StepBack]);
}

#[test]
fn a_process_is_lost_unless_it_said_goodbye() {
    let (mut roster, now) = roster();
    let goodbye = |name, instance| Beacon {
        parting: Parting::Leaving,
        ..beacon(name, instance, 9)
    };
    for name in ["a", "b", "c"] {
        roster.on_beacon(beacon(name, 1, 1), now);
    }
    roster.on_beacon(goodbye("a", 1), now);
    assert!(roster.take_lost().is_empty());
    // It was started again under its name.
    roster.on_beacon(beacon("b", 2, 1), now);
    let lost = |roster: &mut Roster| {
        let lost = roster.take_lost().into_iter();
        lost.map(|beacon| (beacon.name.to_string(), beacon.instance.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(lost(&mut roster), [("b".to_owned(), 1)]);
    roster.expire(now + Duration::from_secs(7));
    assert_eq!(lost(&mut roster), [("b".to_owned(), 2), ("c".to_owned(), 1)]);
    assert!(lost(&mut roster).is_empty(), "each is told once");
}

#[test]
fn beacons_slow_down_as_the_roster_grows() {
    assert_eq!(beacon_interval(3), Duration::from_secs(1));
    assert_eq!(beacon_interval(200), Duration::from_secs(4));
}

#[test]
fn a_copy_through_a_slower_node_is_no_news_whether_its_process_is_alive_or_left() {
    let (mut roster, now) = roster();
    assert!(roster.is_news(&beacon("a", 1, 1)));
    for number in [1, 3] {
        roster.on_beacon(beacon("a", 1, number), now);
    }
    for (number, is_news) in [(1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(roster.is_news(&beacon("a", 1, number)), is_news, "{number}");
    }
    roster.expire(now + Duration::from_secs(7));
    assert!(!roster.is_news(&beacon("a", 1, 3)));
    assert!(roster.is_news(&beacon("a", 2, 1)), "another process");
}
