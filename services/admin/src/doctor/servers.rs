//! The servers: whether each answers and has started, and whether they go together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wsmesh_adapter::{Lapse, LapseReason};

use super::diagnosis::{Finding, Part, count, list};
use super::evidence::{Cluster, Server};
use super::fixes::Fixes;

/// Without news for this long, a server is overdue: beacons come every second, or every four with 200 servers.
const SILENT_MS: u64 = 5_000;
/// A server counts some seconds after its start, even if it does not hear every node.
const STARTING_MS: u64 = 30_000;
/// What happened before is history.
const LATELY_MS: u64 = 3_600_000;

/// Judges the servers.
pub(crate) fn check(cluster: &Cluster, fixes: &Fixes) -> Part {
    if cluster.servers.is_empty() {
        let alone = Finding::note("servers", "no other server runs on these nodes")
            .because("or they use another --prefix or other nodes: then they do not see each other")
            .fix(fixes.pods("get pods", "start a ws-node with the same --redis and --prefix"));
        return Part::new("servers", "none", vec![alone]);
    }
    let mut findings = Vec::new();
    for server in &cluster.servers {
        findings.extend(answers(server, fixes));
        findings.extend(starts(server, cluster.now_ms, fixes));
        findings.extend(lapses(server, cluster.now_ms, fixes));
    }
    findings.extend(names(cluster));
    findings.extend(versions(&cluster.servers, fixes));
    findings.extend(differences(cluster));
    let mut services: BTreeMap<&str, usize> = BTreeMap::new();
    for server in &cluster.servers {
        *services.entry(server.info.service.as_str()).or_default() += 1;
    }
    let services = services.iter().map(|(service, number)| format!("{number} {service}"));
    Part::new("servers", list(services), findings)
}

fn answers(server: &Server, fixes: &Fixes) -> Option<Finding> {
    let logs = fixes.logs(server.name().as_str());
    if let Err(why) = &server.answer {
        return Some(
            Finding::problem(server.name(), format!("it does not answer: {why}"))
                .because("requests to it wait in vain, and its clients may be stuck")
                .fix(logs),
        );
    }
    (server.info.age_ms > SILENT_MS).then(|| {
        Finding::warning(
            server.name(),
            format!("no beacon came from it for {} s", server.info.age_ms / 1000),
        )
        .because("others take it for gone after six intervals of silence: its process hangs, or has too little CPU")
        .fix(logs)
    })
}

fn starts(server: &Server, now_ms: u64, fixes: &Fixes) -> Option<Finding> {
    let running_ms = now_ms.saturating_sub(server.info.instance.started_ms());
    (!server.info.counted && !server.info.retiring && running_ms > STARTING_MS).then(|| {
        Finding::warning(
            server.name(),
            format!("it was started {} s ago and does not count yet", running_ms / 1000),
        )
        .because("a server counts when it hears a node; until then it is not ready, and what it sends waits")
        .fix(fixes.logs(server.name().as_str()))
    })
}

/// The lapses of the last hour by the server's own clock, those of one reason together.
fn lapses(server: &Server, now_ms: u64, fixes: &Fixes) -> Vec<Finding> {
    let Ok(answer) = &server.answer else {
        return Vec::new();
    };
    let its_now = answer.clock_ms.unwrap_or(now_ms);
    let lately = |lapse: &&Lapse| lapse.noticed_ms.saturating_add(LATELY_MS) >= its_now;
    let mut by_reason: BTreeMap<&str, Vec<&Lapse>> = BTreeMap::new();
    for lapse in answer.lapses.iter().filter(lately) {
        by_reason.entry(lapse.reason.label()).or_default().push(lapse);
    }
    let finding = |lapses: Vec<&Lapse>| {
        let last = lapses.iter().max_by_key(|lapse| lapse.noticed_ms)?;
        let (happened, fix) = explain(last, fixes);
        let ago_s = its_now.saturating_sub(last.noticed_ms) / 1000;
        Some(
            Finding::warning(
                server.name(),
                format!(
                    "{happened}: {} in the last hour, the last {ago_s} s ago, for {} ms",
                    count(lapses.len(), "lapse"),
                    last.length_ms
                ),
            )
            .because("messages of that time may be missing")
            .fix(fix),
        )
    };
    by_reason.into_values().filter_map(finding).collect()
}

fn explain(lapse: &Lapse, fixes: &Fixes) -> (&'static str, String) {
    match lapse.reason {
        LapseReason::Isolated => (
            "it heard no Redis node for longer than the replay window",
            "export WSMESH_REPLAY_WINDOW=15s   # on every server, if such outages are to be survived; and look at the network"
                .to_owned(),
        ),
        LapseReason::Stalled => (
            "its process was stopped for longer than the replay window",
            "give it more CPU (resources.requests.cpu in the chart), and look whether its machine sleeps or swaps".to_owned(),
        ),
        LapseReason::WindowTooSmall => (
            "its replay window ran out of bytes before its time",
            "export WSMESH_REPLAY_BYTES=268435456   # on every server".to_owned(),
        ),
        LapseReason::Expired => {
            let node = lapse.node.as_ref().map_or("ID", |node| node.as_str());
            let remove = fixes.api(&format!("/nodes/{node}"), "-X DELETE");
            (
                "copies of its messages found no node that their receivers hear",
                format!("start the Redis that is down, or remove it:\n{remove}"),
            )
        }
    }
}

/// Second processes with a server's name.
fn names(cluster: &Cluster) -> Vec<Finding> {
    let lately = cluster
        .conflicts
        .iter()
        .filter(|conflict| conflict.rival.started_ms().saturating_add(LATELY_MS) >= cluster.now_ms);
    lately
        .map(|conflict| {
            let started = i64::try_from(conflict.rival.started_ms()).ok();
            let started = started.and_then(|ms| Timestamp::from_millisecond(ms).ok());
            let at = started.map_or_else(String::new, |at| format!(" at {at:.0}"));
            Finding::problem(
                &conflict.server,
                format!("a second process with this name was started{at}"),
            )
            .because("the younger one is told to end; while both live, messages and requests reach only one of them")
            .fix("export WSMESH_NAME=ANOTHER   # for one of the two; without it, each gets a name of its own")
        })
        .collect()
}

fn versions(servers: &[Server], fixes: &Fixes) -> Option<Finding> {
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for server in servers {
        by_version
            .entry(&server.info.version)
            .or_default()
            .push(server.name().as_str());
    }
    if by_version.len() < 2 {
        return None;
    }
    let what = by_version.iter().map(|(version, names)| {
        let names = list(names);
        format!("{version}: {names}")
    });
    let what = what.collect::<Vec<_>>().join("; ");
    let fix = fixes.pods("rollout status deployment", "update the servers with the older version");
    Some(match are_neighbours(by_version.keys().copied()) {
        true => Finding::warning("versions", what)
            .because(
                "two versions in a row understand each other, so that servers can be updated one by one: finish that",
            )
            .fix(fix),
        false => Finding::problem("versions", what)
            .because("only two versions in a row understand each other: some of these servers may not")
            .fix(fix),
    })
}

/// Whether all versions are `MAJOR.MINOR` and the next. Patches do not matter. Versions that are written in another way are no
/// reason to worry.
fn are_neighbours<'a>(versions: impl Iterator<Item = &'a str>) -> bool {
    let parts = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let known: BTreeSet<(u64, u64)> = versions.filter_map(parts).collect();
    match (known.first(), known.last()) {
        (Some((oldest, first)), Some((newest, last))) => oldest == newest && last - first <= 1,
        _ => true,
    }
}

/// Settings that are not the doctor's, by setting.
fn differences(cluster: &Cluster) -> Vec<Finding> {
    let mut by_setting: BTreeMap<&str, BTreeMap<(&str, &str), Vec<&str>>> = BTreeMap::new();
    let is_server = |name| cluster.servers.iter().any(|server| server.name() == name);
    for difference in cluster
        .differences
        .iter()
        .filter(|difference| is_server(&difference.server))
    {
        by_setting
            .entry(&difference.setting)
            .or_default()
            .entry((&difference.theirs, &difference.ours))
            .or_default()
            .push(difference.server.as_str());
    }
    let finding = |(setting, values): (&str, BTreeMap<(&str, &str), Vec<&str>>)| {
        let ours = values.keys().next().map_or("", |(_, ours)| *ours);
        let theirs = values
            .iter()
            .map(|((theirs, _), names)| format!("\"{theirs}\" on {}", list(names)));
        let what = format!("it is \"{ours}\" here, and {}", theirs.collect::<Vec<_>>().join(", "));
        Finding::warning(setting, what)
            .because(
                "it should be the same on every server; a doctor that was started with other settings sees that, too",
            )
            .fix("admin --print-config   # run it where each of them runs, and make the settings equal")
    };
    by_setting.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
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
}
