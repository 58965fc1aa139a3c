//! Each Redis by itself: whether this machine could use it, and what it says about itself.

use wsmesh_adapter::{CheckResult, NodeFacts, Preflight};

use super::diagnosis::{Finding, Part, count, list};
use super::evidence::Node;

/// Used memory, in percent of the limit, above which a Redis is near it.
const NEAR_LIMIT_PERCENT: u64 = 90;
/// What waits for one of our subscribers when it is surely behind: Redis's default soft limit is 8 MiB.
const MUCH_WAITING: u64 = 4 << 20;
/// A command that took this long kept all messages of the node waiting.
const SLOW_MICROS: u64 = 20_000;
/// Slow commands that are older are history.
const LATELY_MS: u64 = 3_600_000;

/// Judges the nodes. `now_ms` is the time for the slow log.
pub(crate) fn check(nodes: &[Node], now_ms: u64) -> Part {
    if nodes.is_empty() {
        let nothing = Finding::problem("--redis", "no Redis node is set")
            .because("a server without nodes runs alone: no other server hears from it")
            .fix("export WSMESH_REDIS=redis://HOST:PORT#redis-0");
        return Part::new("redis", "no nodes", vec![nothing]);
    }
    let findings = nodes.iter().flat_map(|node| of_node(node, now_ms)).collect();
    let versions: std::collections::BTreeSet<_> = nodes
        .iter()
        .filter_map(|node| node.facts.as_ref()?.as_ref().ok()?.version.as_deref())
        .collect();
    let mut looked_at = count(nodes.len(), "node");
    if !versions.is_empty() {
        looked_at += &format!(", version {}", list(versions));
    }
    Part::new("redis", looked_at, findings)
}

fn of_node(node: &Node, now_ms: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &node.preflight {
        Some(Ok(preflight)) => findings.extend(of_preflight(node, preflight)),
        Some(Err(overdue)) => findings.push(
            Finding::problem(&node.id, overdue.clone())
                .because("servers do not use a Redis that hangs: messages take the other nodes")
                .fix(format!("{} ping", node.cli)),
        ),
        None => {}
    }
    let is_usable = findings.is_empty();
    match &node.facts {
        Some(Ok(facts)) => findings.extend(of_facts(node, facts, now_ms)),
        Some(Err(why)) if is_usable => findings.push(
            Finding::warning(&node.id, format!("it says nothing about itself: {why}"))
                .because("memory, evictions and slow commands of this node are not known")
                .fix(format!("{} info", node.cli)),
        ),
        _ => {}
    }
    findings
}

fn of_preflight(node: &Node, preflight: &Preflight) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for check in &preflight.checks {
        match &check.result {
            CheckResult::Passed => {}
            CheckResult::Failed { why, fix } => findings.push(
                Finding::problem(&node.id, why.clone())
                    .because("a server with these settings cannot use this node: messages take the other nodes")
                    .fix(fix.clone()),
            ),
            CheckResult::Unknown { why } => unknown.push(why.as_str()),
        }
    }
    // A node that is down leaves everything else unknown, which is no news.
    if findings.is_empty() && !unknown.is_empty() {
        findings.push(Finding::note(
            &node.id,
            format!("could not be checked completely: {}", unknown.join("; ")),
        ));
    }
    findings
}

fn of_facts(node: &Node, facts: &NodeFacts, now_ms: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(memory(node, facts));
    if let Some(evicted) = facts.evicted_keys.filter(|evicted| *evicted > 0) {
        findings.push(
            Finding::warning(
                &node.id,
                format!("it evicted {} since its start", count_u64(evicted, "key")),
            )
            .because(
                "wsmesh stores no keys: something else uses this Redis, and evicting takes time from messages. Its memory is \
                     full then, too",
            )
            .fix(format!("{} --bigkeys", node.cli)),
        );
    }
    if let Some(rejected) = facts.rejected_connections.filter(|rejected| *rejected > 0) {
        let connected = facts
            .clients
            .map_or_else(String::new, |clients| format!(" ({clients} are open now)"));
        findings.push(
            Finding::warning(
                &node.id,
                format!(
                    "it rejected {} since its start{connected}",
                    count_u64(rejected, "connection")
                ),
            )
            .because("a server that is rejected does not hear this node, and nobody uses it for everyone then")
            .fix(format!("{} config set maxclients 20000", node.cli)),
        );
    }
    for buffer in facts.output_buffers.iter().filter(|buffer| buffer.bytes > MUCH_WAITING) {
        findings.push(
            Finding::warning(
                &node.id,
                format!("{} wait in it for server {}", mebibytes(buffer.bytes), buffer.server),
            )
            .because("the server reads too slowly; when the limit is reached, Redis cuts it off, and it hears a gap")
            .fix(format!("{} config get client-output-buffer-limit", node.cli)),
        );
    }
    findings.extend(slow(node, facts, now_ms));
    if !facts.forbidden.is_empty() {
        findings.push(
            Finding::note(
                &node.id,
                format!("the user of these settings may not use {}", list(&facts.forbidden)),
            )
            .because("messages need none of these; what they would say is not known here")
            .fix(format!(
                "{} acl setuser USER {}",
                node.cli,
                facts
                    .forbidden
                    .iter()
                    .map(|command| format!("+{}", command.to_lowercase().replace(' ', "|")))
                    .collect::<Vec<_>>()
                    .join(" ")
            )),
        );
    }
    findings
}

fn memory(node: &Node, facts: &NodeFacts) -> Option<Finding> {
    let (used, limit) = (
        facts.used_memory_bytes?,
        facts.max_memory_bytes.filter(|limit| *limit > 0)?,
    );
    let percent = used.saturating_mul(100) / limit;
    (percent >= NEAR_LIMIT_PERCENT).then(|| {
        Finding::warning(
            &node.id,
            format!(
                "it uses {} of {} ({percent} %)",
                mebibytes(used),
                mebibytes(limit)
            ),
        )
        .because(
            "queues of subscribers that fall behind need memory, too: a Redis at its limit disconnects them or evicts keys",
        )
        .fix(format!("{} config set maxmemory {}", node.cli, limit.saturating_mul(2)))
    })
}

fn slow(node: &Node, facts: &NodeFacts, now_ms: u64) -> Option<Finding> {
    let lately = |at_ms: u64| at_ms.saturating_add(LATELY_MS) >= now_ms;
    let slow = facts
        .slow_log
        .iter()
        .filter(|entry| entry.micros >= SLOW_MICROS && lately(entry.at_ms));
    let worst = slow.clone().max_by_key(|entry| entry.micros)?;
    let times = slow.count();
    Some(
        Finding::warning(
            &node.id,
            format!(
                "{} took {} ms; {} of the last hour took more than {} ms",
                worst.command,
                worst.micros / 1000,
                count(times, "command"),
                SLOW_MICROS / 1000
            ),
        )
        .because("Redis does one thing at a time: every message of this node waited for that long")
        .fix(format!("{} slowlog get 10", node.cli)),
    )
}

fn count_u64(number: u64, of: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), of)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{Check, CheckKind, NodeId, OutputBuffer, ServerName, SlowCommand};

    use super::super::diagnosis::Severity;
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn preflight(results: Vec<(CheckKind, CheckResult)>) -> Preflight {
        Preflight {
            run_id: None,
            checks: results
                .into_iter()
                .map(|(what, result)| Check { what, result })
                .collect(),
        }
    }

    fn node(preflight: Preflight, facts: NodeFacts) -> Node {
        Node {
            id: NodeId::new("redis-0").expect("an id"),
            cli: "redis-cli -u redis://a:6379".to_owned(),
            preflight: Some(Ok(preflight)),
            facts: Some(Ok(facts)),
        }
    }

    fn well() -> Preflight {
        preflight(vec![(CheckKind::Reachable, CheckResult::Passed)])
    }

    fn of(facts: NodeFacts) -> Vec<Finding> {
        check(&[node(well(), facts)], NOW).findings
    }

    fn only(findings: &[Finding]) -> &Finding {
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            !findings[0].why.is_empty() && !findings[0].fix.is_empty(),
            "{findings:?}"
        );
        &findings[0]
    }

    #[test]
    fn a_node_without_faults_has_no_finding() {
        let facts = NodeFacts {
            version: Some("7.0.15".to_owned()),
            used_memory_bytes: Some(100),
            max_memory_bytes: Some(1000),
            evicted_keys: Some(0),
            rejected_connections: Some(0),
            slow_log: vec![SlowCommand {
                at_ms: NOW,
                micros: 11_000,
                command: "PUBLISH".to_owned(),
            }],
            ..NodeFacts::default()
        };
        let part = check(&[node(well(), facts)], NOW);
        assert_eq!(
            (part.findings.len(), part.looked_at.as_deref()),
            (0, Some("1 node, version 7.0.15"))
        );
    }

    #[test]
    fn without_nodes_there_is_nothing_to_join() {
        assert_eq!(only(&check(&[], NOW).findings).severity, Severity::Problem);
    }

    #[test]
    fn a_failed_check_is_a_problem_with_the_fix_that_the_check_names() {
        let failed = CheckResult::Failed {
            why: "nobody listens".to_owned(),
            fix: "start it".to_owned(),
        };
        let unknown = CheckResult::Unknown {
            why: "not asked".to_owned(),
        };
        let mut node = node(
            preflight(vec![(CheckKind::Reachable, failed), (CheckKind::Redis, unknown)]),
            NodeFacts::default(),
        );
        node.facts = Some(Err("cannot connect".to_owned()));
        let findings = check(&[node], NOW).findings;
        let finding = only(&findings);
        assert_eq!(
            (finding.severity, finding.what.as_str(), finding.fix.as_str()),
            (Severity::Problem, "nobody listens", "start it")
        );
    }

    #[test]
    fn what_could_not_be_checked_is_a_note_and_a_node_that_hangs_a_problem() {
        let unknown = CheckResult::Unknown {
            why: "ACL DRYRUN is not known there".to_owned(),
        };
        let unsure = node(preflight(vec![(CheckKind::Publish, unknown)]), NodeFacts::default());
        let findings = check(&[unsure], NOW).findings;
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Note));
        let mut hung = node(well(), NodeFacts::default());
        (hung.preflight, hung.facts) = (Some(Err("did not answer within 8 s".to_owned())), None);
        assert_eq!(only(&check(&[hung], NOW).findings).severity, Severity::Problem);
        let mut silent = node(well(), NodeFacts::default());
        silent.facts = Some(Err("NOPERM".to_owned()));
        assert_eq!(only(&check(&[silent], NOW).findings).severity, Severity::Warning);
    }

    #[test]
    fn memory_near_its_limit_is_a_warning_and_no_limit_is_none() {
        let facts = |used, max| NodeFacts {
            used_memory_bytes: Some(used),
            max_memory_bytes: Some(max),
            ..NodeFacts::default()
        };
        let findings = of(facts(95 << 20, 100 << 20));
        assert_eq!(only(&findings).what, "it uses 95.0 MiB of 100.0 MiB (95 %)");
        assert!(only(&findings).fix.ends_with("config set maxmemory 209715200"));
        assert_eq!(of(facts(89, 100)), []);
        assert_eq!(of(facts(95, 0)), []);
    }

    #[test]
    fn evictions_and_rejected_connections_are_warnings() {
        let findings = of(NodeFacts {
            evicted_keys: Some(3),
            ..NodeFacts::default()
        });
        assert_eq!(only(&findings).what, "it evicted 3 keys since its start");
        let findings = of(NodeFacts {
            rejected_connections: Some(1),
            clients: Some(9_999),
            ..NodeFacts::default()
        });
        assert_eq!(
            only(&findings).what,
            "it rejected 1 connection since its start (9999 are open now)"
        );
    }

    #[test]
    fn a_subscriber_that_is_far_behind_is_named() {
        let buffer = |bytes| NodeFacts {
            output_buffers: vec![OutputBuffer {
                server: ServerName::new("ws-1").expect("a name"),
                bytes,
            }],
            ..NodeFacts::default()
        };
        assert_eq!(only(&of(buffer(6 << 20))).what, "6.0 MiB wait in it for server ws-1");
        assert_eq!(of(buffer(1 << 20)), []);
    }

    #[test]
    fn slow_commands_of_the_last_hour_are_a_warning_and_older_ones_are_history() {
        let slow = |at_ms, micros| SlowCommand {
            at_ms,
            micros,
            command: "KEYS".to_owned(),
        };
        let facts = |slow_log| NodeFacts {
            slow_log,
            ..NodeFacts::default()
        };
        let findings = of(facts(vec![slow(NOW - 5_000, 30_000), slow(NOW - 9_000, 250_000)]));
        assert_eq!(
            only(&findings).what,
            "KEYS took 250 ms; 2 commands of the last hour took more than 20 ms"
        );
        assert_eq!(of(facts(vec![slow(NOW - 3_700_000, 250_000)])), []);
    }

    #[test]
    fn commands_that_the_user_may_not_use_are_a_note_with_the_acl_that_allows_them() {
        let findings = of(NodeFacts {
            forbidden: vec!["SLOWLOG".to_owned(), "CLIENT LIST".to_owned()],
            ..NodeFacts::default()
        });
        assert_eq!(only(&findings).severity, Severity::Note);
        assert!(only(&findings).fix.ends_with("acl setuser USER +slowlog +client|list"));
    }
}
