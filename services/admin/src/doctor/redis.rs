//! Each Redis by itself: whether this machine could use it, and what it says about itself.

use std::collections::BTreeSet;

use wsmesh_adapter::{CheckKind, CheckResult, NodeFacts, NodeId, Preflight};

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

/// What is said when there is no node at all.
const NOT_SET: &str = "no Redis node is set";

/// Judges the nodes. `now_ms` is the time for the slow log.
pub(crate) fn check(nodes: &[Node], now_ms: u64) -> Part {
    if nodes.is_empty() {
        let nothing = Finding::problem("--redis", NOT_SET)
            .because("a server without nodes runs alone: no other server hears from it")
            .fix("export WSMESH_REDIS=redis://HOST:PORT#redis-0");
        return Part::new("redis", "no nodes", vec![nothing]);
    }
    let is_any_unusable = !unusable(nodes).is_empty();
    let findings = nodes
        .iter()
        .flat_map(|node| of_node(node, is_any_unusable, now_ms))
        .collect();
    let versions: BTreeSet<_> = nodes
        .iter()
        .filter_map(|node| node.facts.as_ref()?.as_ref().ok()?.version.as_deref())
        .collect();
    let mut looked_at = count(nodes.len(), "node");
    if !versions.is_empty() {
        looked_at += &format!(", version {}", list(versions));
    }
    Part::new("redis", looked_at, findings)
}

/// There is a Service, and DNS knows none of its pods. That is why no node is known, if none is.
pub(crate) fn tell_unfound(part: &mut Part, why: String) {
    part.findings.retain(|finding| finding.what != NOT_SET);
    part.findings.push(
        Finding::problem("--redis-service", why)
            .because("servers that start now wait for a first node")
            .fix("kubectl get service,endpointslices,pods -l app.kubernetes.io/component=redis"),
    );
}

/// Nodes that this machine cannot use: each is a finding here, and needs no second one elsewhere.
pub(crate) fn unusable(nodes: &[Node]) -> BTreeSet<&NodeId> {
    let fails = |node: &&Node| match &node.preflight {
        Some(Ok(preflight)) => !preflight.passes(),
        Some(Err(_)) => true,
        None => false,
    };
    nodes.iter().filter(fails).map(|node| &node.id).collect()
}

fn of_node(node: &Node, is_any_unusable: bool, now_ms: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &node.preflight {
        Some(Ok(preflight)) => findings.extend(of_preflight(node, preflight, is_any_unusable)),
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

fn of_preflight(node: &Node, preflight: &Preflight, is_any_unusable: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for check in &preflight.checks {
        match &check.result {
            CheckResult::Passed => {}
            CheckResult::Failed { why, fix } => findings.push(
                Finding::problem(&node.id, why.clone())
                    .because(consequence(check.what))
                    .fix(as_command(node, fix)),
            ),
            // What is down cannot be compared with the others, and is said to be down.
            CheckResult::Unknown { .. } if check.what == CheckKind::Identity && is_any_unusable => {}
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

fn consequence(check: CheckKind) -> &'static str {
    match check {
        CheckKind::OutputBuffer => {
            "one large message ends the connections of all subscribers, and each of them hears a gap"
        }
        CheckKind::Identity => "a Redis that counts as two nodes is no reserve: when it fails, both are gone",
        CheckKind::Version => "servers rely on what it does not do",
        _ => "a server with these settings cannot use this node: messages take the other nodes",
    }
}

/// Commands of Redis are given to `redis-cli`; everything else is a sentence.
fn as_command(node: &Node, fix: &str) -> String {
    match ["CONFIG SET ", "ACL SETUSER "]
        .iter()
        .any(|command| fix.starts_with(command))
    {
        true => format!("{} {fix}", node.cli),
        false => fix.to_owned(),
    }
}

fn of_facts(node: &Node, facts: &NodeFacts, now_ms: u64) -> Vec<Finding> {
    let found = [
        memory(node, facts),
        evictions(node, facts),
        rejections(node, facts),
        slow(node, facts, now_ms),
        forbidden(node, facts),
    ];
    let mut findings: Vec<_> = found.into_iter().flatten().collect();
    findings.extend(behind(node, facts));
    findings
}

fn evictions(node: &Node, facts: &NodeFacts) -> Option<Finding> {
    let evicted = facts.evicted_keys.filter(|evicted| *evicted > 0)?;
    let what = format!("it evicted {} since its start", count_u64(evicted, "key"));
    let why = "wsmesh stores no keys: something else uses this Redis, and evicting takes time from messages. Its memory is full then, too";
    Some(
        Finding::warning(&node.id, what)
            .because(why)
            .fix(format!("{} --bigkeys", node.cli)),
    )
}

fn rejections(node: &Node, facts: &NodeFacts) -> Option<Finding> {
    let rejected = facts.rejected_connections.filter(|rejected| *rejected > 0)?;
    let connected = facts
        .clients
        .map_or_else(String::new, |clients| format!(" ({clients} are open now)"));
    let what = format!(
        "it rejected {} since its start{connected}",
        count_u64(rejected, "connection")
    );
    Some(
        Finding::warning(&node.id, what)
            .because("a server that is rejected does not hear this node, and nobody uses it for everyone then")
            .fix(format!("{} config set maxclients 20000", node.cli)),
    )
}

/// Servers that read too slowly.
fn behind(node: &Node, facts: &NodeFacts) -> Vec<Finding> {
    let buffers = facts.output_buffers.iter().filter(|buffer| buffer.bytes > MUCH_WAITING);
    buffers
        .map(|buffer| {
            let what = format!("{} wait in it for server {}", mebibytes(buffer.bytes), buffer.server);
            Finding::warning(&node.id, what)
                .because(
                    "the server reads too slowly; when the limit is reached, Redis cuts it off, and it hears a gap",
                )
                .fix(format!("{} config get client-output-buffer-limit", node.cli))
        })
        .collect()
}

fn forbidden(node: &Node, facts: &NodeFacts) -> Option<Finding> {
    if facts.forbidden.is_empty() {
        return None;
    }
    let rule = |command: &String| format!("+{}", command.to_lowercase().replace(' ', "|"));
    let rules: Vec<_> = facts.forbidden.iter().map(rule).collect();
    let what = format!("the user of these settings may not use {}", list(&facts.forbidden));
    Some(
        Finding::note(&node.id, what)
            .because("messages need none of these; what they would say is not known here")
            .fix(format!("{} acl setuser USER {}", node.cli, rules.join(" "))),
    )
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
#[path = "redis_tests.rs"]
mod tests;
