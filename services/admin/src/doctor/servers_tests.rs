//! Tests of the checks of servers.

use wsmesh_adapter::{Difference, Instance, NameConflict, NodeId};

use super::super::diagnosis::Severity;
use super::super::fixture::{NOW, about, answer, cluster, fixes, name, only};
use super::*;

fn check(cluster: &Cluster) -> Part {
    super::check(cluster, &fixes())
}

#[test]
fn servers_without_faults_have_no_finding() {
    let part = check(&cluster());
    assert_eq!(
        (part.findings.len(), part.looked_at.as_deref()),
        (0, Some("1 admin and 2 ws-node"))
    );
}

#[test]
fn nobody_else_is_a_note() {
    let mut alone = cluster();
    alone.servers.clear();
    assert_eq!(only(&check(&alone)).severity, Severity::Note);
}

#[test]
fn a_server_that_does_not_answer_is_a_problem_and_one_that_is_late_a_warning() {
    let mut cluster = cluster();
    cluster.servers[1].answer = Err("did not answer in time".to_owned());
    cluster.servers[2].info.age_ms = 9_000;
    assert_eq!(
        about(&check(&cluster)),
        [(Severity::Problem, "ws-0"), (Severity::Warning, "ws-1")]
    );
}

#[test]
fn a_server_that_is_starting_for_long_is_a_warning_and_one_that_leaves_or_is_new_is_not() {
    let mut cluster = cluster();
    cluster.servers[1].info.counted = false;
    assert_eq!(
        only(&check(&cluster)).what,
        "it was started 3600 s ago and does not count yet"
    );
    cluster.servers[1].info.retiring = true;
    assert_eq!(check(&cluster).findings, []);
    cluster.servers[1].info.retiring = false;
    cluster.servers[1].info.instance = Instance((NOW - 2_000) << 22);
    assert_eq!(check(&cluster).findings, []);
}

#[test]
fn a_ws_node_that_was_left_draining_is_a_warning_and_one_that_ends_is_not() {
    let mut cluster = cluster();
    answer(&mut cluster.servers[1]).is_draining = true;
    let part = check(&cluster);
    assert_eq!(
        about(&part),
        [(Severity::Note, "ws-0")],
        "its clients are still leaving"
    );
    answer(&mut cluster.servers[1]).clients = 0;
    let part = check(&cluster);
    let finding = only(&part);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(
        finding.fix,
        "curl http://127.0.0.1:9100/api/v1/servers/ws-0/resume -X POST"
    );
    cluster.servers[1].info.retiring = true;
    assert_eq!(check(&cluster).findings, []);
}

#[test]
fn lapses_of_the_last_hour_are_told_by_reason_on_the_clock_of_their_server() {
    let lapse = |reason, noticed_ms| Lapse {
        reason,
        node: None,
        started_ms_ago: 9_000,
        length_ms: 9_000,
        noticed_ms,
    };
    let mut cluster = cluster();
    let ten_hours = 36_000_000;
    let server = answer(&mut cluster.servers[1]);
    server.clock_ms = Some(NOW + ten_hours);
    server.lapses = vec![
        lapse(LapseReason::Isolated, NOW),
        lapse(LapseReason::Isolated, NOW + ten_hours - 60_000),
        lapse(LapseReason::Isolated, NOW + ten_hours - 50_000),
        lapse(LapseReason::Stalled, NOW + ten_hours - 40_000),
    ];
    let part = check(&cluster);
    assert_eq!(about(&part), [(Severity::Warning, "ws-0"); 2]);
    assert_eq!(
        part.findings[0].what,
        "it heard no Redis node for longer than the replay window: 2 lapses in the last hour, the last 50 s ago, for 9000 ms"
    );
    answer(&mut cluster.servers[1]).lapses.truncate(1);
    assert_eq!(check(&cluster).findings, []);
}

#[test]
fn messages_that_found_no_node_are_mended_by_the_redis_that_is_down() {
    let mut cluster = cluster();
    answer(&mut cluster.servers[1]).lapses = vec![Lapse {
        reason: LapseReason::Expired,
        node: Some(NodeId::new("redis-2").expect("an id")),
        started_ms_ago: 9_000,
        length_ms: 9_000,
        noticed_ms: NOW,
    }];
    assert_eq!(
        only(&check(&cluster)).fix,
        "start the Redis that is down, or remove it:\ncurl http://127.0.0.1:9100/api/v1/nodes/redis-2 -X DELETE"
    );
}

#[test]
fn a_second_process_with_a_servers_name_is_a_problem_for_an_hour() {
    let mut cluster = cluster();
    let conflict = |started_ms: u64| NameConflict {
        server: name("ws-0"),
        rival: Instance(started_ms << 22),
    };
    cluster.conflicts = vec![conflict(NOW - 60_000)];
    assert_eq!(
        only(&check(&cluster)).what,
        "a second process with this name was started at 2027-01-15T07:59:00Z"
    );
    cluster.conflicts = vec![conflict(NOW - 2 * 3_600_000)];
    assert_eq!(check(&cluster).findings, []);
}

#[test]
fn two_versions_in_a_row_are_a_warning_and_more_are_a_problem() {
    let with = |versions: [&str; 3]| {
        let mut cluster = cluster();
        for (server, version) in cluster.servers.iter_mut().zip(versions) {
            server.info.version = version.to_owned();
        }
        check(&cluster)
    };
    assert_eq!(
        only(&with(["0.1.0", "0.1.0", "0.2.0"])).what,
        "0.1.0: admin-0 and ws-0; 0.2.0: ws-1"
    );
    let severity = |versions| only(&with(versions)).severity;
    assert_eq!(severity(["0.1.0", "0.2.0", "0.2.3"]), Severity::Warning);
    assert_eq!(severity(["0.1.0", "0.2.0", "0.3.0"]), Severity::Problem);
    assert_eq!(severity(["0.9.0", "1.0.0", "1.0.0"]), Severity::Problem);
    assert_eq!(severity(["0.1.0", "dev", "dev"]), Severity::Warning);
}

#[test]
fn settings_that_differ_are_told_once_each_with_all_servers() {
    let mut cluster = cluster();
    let difference = |server: &str, theirs: &str| Difference {
        server: name(server),
        setting: "replay_window_ms".to_owned(),
        theirs: theirs.to_owned(),
        ours: "6000".to_owned(),
    };
    cluster.differences = vec![
        difference("ws-0", "9000"),
        difference("ws-1", "9000"),
        difference("admin-0", "7000"),
        difference("doctor-2", "1"),
    ];
    let part = check(&cluster);
    assert_eq!(
        (only(&part).about.as_str(), only(&part).what.as_str()),
        (
            "replay_window_ms",
            "it is \"6000\" here, and \"7000\" on admin-0, \"9000\" on ws-0 and ws-1"
        )
    );
}
