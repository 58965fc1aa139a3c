use wsmesh_adapter::{Check, NodeId, OutputBuffer, ServerName, SlowCommand};

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
fn a_fix_that_is_a_command_of_redis_can_be_copied_whole() {
    let failed = CheckResult::Failed {
        why: "it buffers too little".to_owned(),
        fix: "CONFIG SET client-output-buffer-limit \"pubsub 1 1 1\"".to_owned(),
    };
    let node = node(preflight(vec![(CheckKind::OutputBuffer, failed)]), NodeFacts::default());
    let part = check(&[node], NOW);
    assert_eq!(
        only(&part.findings).fix,
        "redis-cli -u redis://a:6379 CONFIG SET client-output-buffer-limit \"pubsub 1 1 1\""
    );
    assert!(only(&part.findings).why.contains("connections of all subscribers"));
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
fn a_node_that_is_down_is_one_finding_and_no_doubt_about_the_others() {
    let unclear = || CheckResult::Unknown {
        why: "it cannot be compared with node redis-2: connection refused".to_owned(),
    };
    let unsure = || node(preflight(vec![(CheckKind::Identity, unclear())]), NodeFacts::default());
    let mut down = unsure();
    down.id = NodeId::new("redis-2").expect("an id");
    down.preflight = Some(Ok(preflight(vec![(
        CheckKind::Reachable,
        CheckResult::Failed {
            why: "nobody listens".to_owned(),
            fix: "start it".to_owned(),
        },
    )])));
    down.facts = None;
    let nodes = [unsure(), unsure(), down];
    assert_eq!(only(&check(&nodes, NOW).findings).about, "redis-2");
    assert_eq!(unusable(&nodes), BTreeSet::from([&nodes[2].id]));
    assert_eq!(only_note(&check(&[unsure()], NOW).findings).severity, Severity::Note);
}

fn only_note(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:?}");
    &findings[0]
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

#[test]
fn a_service_whose_pods_dns_does_not_know_is_said_in_place_of_missing_nodes() {
    let mut part = check(&[], 0);
    tell_unfound(&mut part, "DNS has no record _redis._tcp.wsmesh-redis".to_owned());
    assert_eq!(part.findings.len(), 1, "{:?}", part.findings);
    let finding = &part.findings[0];
    assert_eq!(
        (finding.severity, finding.about.as_str()),
        (Severity::Problem, "--redis-service")
    );
    assert!(
        finding.what.contains("_redis._tcp") && finding.fix.contains("endpointslices"),
        "{finding:?}"
    );
}
