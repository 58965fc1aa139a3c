//! The files that each process may have open, against the connections that it has.

use super::diagnosis::{Finding, Part, count};
use super::evidence::{Cluster, Server};
use super::fixes::Fixes;

/// A ws-node with fewer can take hardly more than half a thousand clients.
const FEW: u64 = 4_096;
/// Share of the files, in percent, that clients may use before it gets tight.
const TIGHT_PERCENT: u64 = 75;

/// Judges the limits of the servers that have clients.
pub(crate) fn check(cluster: &Cluster, fixes: &Fixes) -> Part {
    let with_clients = |server: &&Server| server.answer.as_ref().is_ok_and(|answer| answer.drain_ms.is_some());
    let known: Vec<_> = cluster
        .servers
        .iter()
        .filter(with_clients)
        .filter_map(|server| {
            let answer = server.answer.as_ref().ok()?;
            Some((server, answer.clients, answer.open_files.filter(|files| *files > 0)?))
        })
        .collect();
    if known.is_empty() {
        return Part::skipped("files", "no server with clients told its limit of open files");
    }
    let findings = known
        .iter()
        .filter_map(|(server, clients, files)| limit(server, *clients, *files, fixes));
    let findings = findings.collect();
    let least = known.iter().map(|(_, _, files)| *files).min().unwrap_or_default();
    let looked_at = format!("{} with {least} files or more", count(known.len(), "ws-node"));
    Part::new("files", looked_at, findings)
}

fn limit(server: &Server, clients: u64, files: u64, fixes: &Fixes) -> Option<Finding> {
    let is_tight = clients.saturating_mul(100) >= files.saturating_mul(TIGHT_PERCENT);
    let finding = match (is_tight, files < FEW) {
        (true, _) => Finding::warning(
            server.name(),
            format!("it has {} and may have {files} files open", clients_of(clients)),
        )
        .because("each connection is a file: when they run out, it rejects new clients"),
        (false, true) => Finding::note(server.name(), format!("it may have only {files} files open"))
            .because("each connection is a file: it rejects clients above about half of that"),
        (false, false) => return None,
    };
    let wanted = (files * 4).max(65_536);
    Some(finding.fix(fixes.pods(
        "scale deployment wsmesh-ws-node --replicas=4   # or raise the limit of the container runtime (LimitNOFILE)",
        &format!("ulimit -n {wanted}   # before it is started; in a unit of systemd: LimitNOFILE={wanted}"),
    )))
}

fn clients_of(clients: u64) -> String {
    count(usize::try_from(clients).unwrap_or(usize::MAX), "client")
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::Severity;
    use super::super::fixture::{answer, cluster, fixes, only};
    use super::*;

    fn check(cluster: &Cluster) -> Part {
        super::check(cluster, &fixes())
    }

    #[test]
    fn enough_files_are_no_finding() {
        let part = check(&cluster());
        assert_eq!(
            (part.findings.len(), part.looked_at.as_deref()),
            (0, Some("2 ws-nodes with 100000 files or more"))
        );
    }

    #[test]
    fn clients_near_the_limit_are_a_warning_and_a_low_limit_is_a_note() {
        let mut cluster = cluster();
        answer(&mut cluster.servers[1]).clients = 80_000;
        let part = check(&cluster);
        assert_eq!(
            (only(&part).severity, only(&part).what.as_str()),
            (Severity::Warning, "it has 80000 clients and may have 100000 files open")
        );
        answer(&mut cluster.servers[1]).clients = 10;
        answer(&mut cluster.servers[1]).open_files = Some(1_024);
        let part = check(&cluster);
        assert_eq!(only(&part).severity, Severity::Note);
        assert!(only(&part).fix.starts_with("ulimit -n 65536"), "{}", only(&part).fix);
    }

    #[test]
    fn services_without_clients_may_have_few_and_older_servers_do_not_tell() {
        let mut cluster = cluster();
        answer(&mut cluster.servers[0]).open_files = Some(256);
        assert_eq!(check(&cluster).findings, []);
        for server in &mut cluster.servers {
            answer(server).open_files = None;
        }
        assert_eq!(check(&cluster).looked_at, None);
    }
}
