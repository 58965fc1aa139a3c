//! Why a node was not added: which server could not use it, and what to do.

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{CheckKind, NodeId, Preflights, ServerName};

use super::MissingServer;
use crate::shapes::{self, Name};

/// A node that was not added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RefusedNode {
    /// The id that it would have had.
    #[schema(value_type = Name)]
    pub(crate) node: NodeId,
    /// The servers that could not use it, by name.
    pub(crate) servers: Vec<FailedServer>,
    /// Servers that were asked and did not answer, and why.
    pub(crate) missing: Vec<MissingServer>,
}

/// A server that could not use a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FailedServer {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    pub(crate) checks: Vec<FailedCheck>,
}

/// What a server could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FailedCheck {
    #[schema(value_type = shapes::CheckKind)]
    pub(crate) what: CheckKind,
    pub(crate) why: String,
    /// What to do.
    pub(crate) fix: String,
}

impl RefusedNode {
    /// None if the node may be added.
    pub(crate) fn new(node: NodeId, found: &Preflights) -> Option<Self> {
        let mut servers: Vec<FailedServer> = Vec::new();
        for failure in found.failures() {
            let check = FailedCheck {
                what: failure.what,
                why: failure.why,
                fix: failure.fix,
            };
            match servers.last_mut() {
                Some(last) if last.server == failure.server => last.checks.push(check),
                _ => servers.push(FailedServer {
                    server: failure.server,
                    checks: vec![check],
                }),
            }
        }
        (!found.passes()).then(|| Self {
            node,
            servers,
            missing: super::missing_servers(&found.missing),
        })
    }

    /// In one sentence; the first failure stands for all.
    pub(crate) fn detail(&self) -> String {
        format!(
            "{} was not added, and nothing was changed. {}. To add it all the same, send ?force=true",
            self.node,
            self.why()
        )
    }

    /// The first failure, and how many others there are.
    pub(crate) fn why(&self) -> String {
        let failures = || {
            self.servers
                .iter()
                .flat_map(|server| server.checks.iter().map(move |check| (server, check)))
        };
        let first = failures().next();
        let first = first.map_or_else(
            || silent(&self.missing),
            |(server, check)| format!("{}: {}: {}", server.server, check.why, check.fix),
        );
        let others = match failures().count().saturating_sub(1) {
            0 => String::new(),
            others => format!(" ({others} more in servers)"),
        };
        first + &others
    }
}

/// Nothing failed, and too few servers tried.
fn silent(missing: &[MissingServer]) -> String {
    let missing: Vec<_> = missing
        .iter()
        .map(|missing| format!("{}: {}", missing.server, missing.why))
        .collect();
    format!(
        "Too few servers said whether they can use it ({}): try again when they answer",
        missing.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{Check, CheckResult, Preflight};

    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a name")
    }

    fn found(server: &str, results: &[(CheckKind, CheckResult)]) -> (ServerName, Preflight) {
        let checks = results.iter().cloned().map(|(what, result)| Check { what, result });
        let preflight = Preflight {
            run_id: None,
            checks: checks.collect(),
        };
        (name(server), preflight)
    }

    fn failed(why: &str) -> CheckResult {
        CheckResult::Failed {
            why: why.to_owned(),
            fix: format!("mend {why}"),
        }
    }

    #[test]
    fn each_server_that_could_not_is_named_once_with_all_that_failed_there() {
        let unknown = CheckResult::Unknown { why: "busy".to_owned() };
        let found = Preflights {
            url: "redis://redis-4:6379#redis-4".to_owned(),
            servers: vec![
                found("admin-1", &[(CheckKind::Reachable, CheckResult::Passed)]),
                found(
                    "ws-node-1",
                    &[
                        (CheckKind::Login, failed("wrong password")),
                        (CheckKind::Version, unknown),
                        (CheckKind::OutputBuffer, failed("tiny buffer")),
                    ],
                ),
                found("ws-node-2", &[(CheckKind::Login, failed("no user"))]),
            ],
            missing: vec![(name("ws-node-3"), "did not answer in time".to_owned())],
        };
        let refused = RefusedNode::new(NodeId::new("redis-4").expect("an id"), &found).expect("refused");
        let servers = refused
            .servers
            .iter()
            .map(|server| (server.server.as_str(), server.checks.len()));
        assert_eq!(servers.collect::<Vec<_>>(), [("ws-node-1", 2), ("ws-node-2", 1)]);
        assert_eq!(refused.missing[0].server, name("ws-node-3"));
        assert_eq!(
            refused.detail(),
            "redis-4 was not added, and nothing was changed. ws-node-1: wrong password: mend wrong password (2 more in servers). To \
             add it all the same, send ?force=true"
        );
    }

    #[test]
    fn what_is_unknown_and_who_did_not_answer_are_no_reason_to_refuse_a_node_that_two_others_could_use() {
        let unknown = CheckResult::Unknown { why: "busy".to_owned() };
        let mut tried = Preflights {
            url: "redis://redis-4:6379".to_owned(),
            servers: ["admin-1", "ws-node-1", "ws-node-2"]
                .map(|server| found(server, &[(CheckKind::Version, unknown.clone())]))
                .into(),
            missing: vec![(name("ws-node-3"), "did not answer in time".to_owned())],
        };
        let node = || NodeId::new("redis-4").expect("an id");
        assert_eq!(RefusedNode::new(node(), &tried), None);
        tried.servers.pop();
        let refused = RefusedNode::new(node(), &tried).expect("too few tried");
        assert_eq!((refused.servers.len(), refused.missing.len()), (0, 1));
    }

    #[test]
    fn what_nobody_tried_is_refused_with_those_that_did_not_answer() {
        let found = Preflights {
            url: "redis://redis-4:6379#redis-4".to_owned(),
            servers: Vec::new(),
            missing: vec![(name("ws-node-3"), "did not answer in time".to_owned())],
        };
        let refused = RefusedNode::new(NodeId::new("redis-4").expect("an id"), &found).expect("refused");
        let detail = refused.detail();
        assert!(
            detail.contains("ws-node-3: did not answer in time") && detail.contains("?force=true"),
            "{detail}"
        );
    }
}
