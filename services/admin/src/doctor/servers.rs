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
        findings.extend(drains(server, fixes));
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

/// A ws-node that was drained and goes on running. One that ends drains, too.
fn drains(server: &Server, fixes: &Fixes) -> Option<Finding> {
    let answer = server.answer.as_ref().ok()?;
    if !answer.is_draining || server.info.retiring {
        return None;
    }
    let what = match answer.clients {
        0 => "it was drained, has no clients any more and goes on running".to_owned(),
        clients => format!("it drains and has {} left", count(clients as usize, "client")),
    };
    let finding = match answer.clients {
        0 => Finding::warning(server.name(), what),
        _ => Finding::note(server.name(), what),
    };
    let resume = format!("/servers/{}/resume", server.name());
    Some(
        finding
            .because("it takes no new clients until it is told to resume or started again, so the others carry more")
            .fix(fixes.api(&resume, "-X POST")),
    )
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
#[path = "servers_tests.rs"]
mod tests;
