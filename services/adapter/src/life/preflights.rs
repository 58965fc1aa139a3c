//! What several servers found out about an address. Plain values.

use serde::{Deserialize, Serialize};

use crate::nodes::{CheckKind, CheckResult, NodeFacts, Preflight};
use crate::wire::{NodeId, ServerName};

/// So many servers must have checked an address, if there are as many.
const ENOUGH: usize = 3;

/// The facts of one node, or why it did not say them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsOfNode {
    /// The node.
    pub id: NodeId,
    /// Its facts; an error says what to do.
    pub facts: Result<NodeFacts, String>,
}

/// What several servers found out about an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflights {
    /// The address that was checked, without credentials.
    pub url: String,
    /// What each server found out, sorted by name.
    pub servers: Vec<(ServerName, Preflight)>,
    /// Servers that were asked and did not answer, and why (in words); sorted by name.
    pub missing: Vec<(ServerName, String)>,
}

/// A check that failed at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreflightFailure {
    /// The server that could not.
    pub server: ServerName,
    /// What was checked.
    pub what: CheckKind,
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl Preflights {
    /// Whether enough servers checked (see [`Preflights::shortfall`]), and nothing failed anywhere.
    pub fn passes(&self) -> bool {
        self.shortfall().is_none() && self.servers.iter().all(|(_, preflight)| preflight.passes())
    }

    /// Why too few servers checked, if so: the server that asks and two others must have answered, or all, if there are fewer.
    pub fn shortfall(&self) -> Option<String> {
        let asked = self.servers.len() + self.missing.len();
        let wanted = asked.clamp(1, ENOUGH);
        if self.servers.len() >= wanted {
            return None;
        }
        let missing: Vec<_> = self
            .missing
            .iter()
            .map(|(server, why)| format!("{server} {why}"))
            .collect();
        Some(format!(
            "{} of {wanted} servers tried the address ({}): try again when they answer, or add it without a preflight with \
             ?force=true",
            self.servers.len(),
            missing.join("; ")
        ))
    }

    /// The checks that failed, by server.
    pub fn failures(&self) -> Vec<PreflightFailure> {
        let mut failures = Vec::new();
        for (server, preflight) in &self.servers {
            for check in preflight.failures() {
                if let CheckResult::Failed { why, fix } = &check.result {
                    failures.push(PreflightFailure {
                        server: server.clone(),
                        what: check.what,
                        why: why.clone(),
                        fix: fix.clone(),
                    });
                }
            }
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(servers: &[&str], missing: &[&str]) -> Preflights {
        let name = |name: &&str| ServerName::new(*name).expect("valid");
        Preflights {
            url: "redis://a:1#a".to_owned(),
            servers: servers
                .iter()
                .map(|server| (name(server), Preflight::default()))
                .collect(),
            missing: missing
                .iter()
                .map(|server| (name(server), "is gone".to_owned()))
                .collect(),
        }
    }

    #[test]
    fn it_passes_only_if_two_others_answered_or_all_if_there_are_fewer() {
        for (servers, missing) in [
            (&["a"][..], &[][..]),
            (&["a", "b"], &[]),
            (&["a", "b", "c"], &["d", "e"]),
        ] {
            assert!(found(servers, missing).passes(), "{servers:?} {missing:?}");
        }
        for (servers, missing) in [
            (&[][..], &[][..]),
            (&[], &["a"]),
            (&["a"], &["b"]),
            (&["a", "b"], &["c", "d"]),
        ] {
            let found = found(servers, missing);
            let why = found.shortfall().expect("too few");
            assert!(!found.passes() && why.contains("?force=true"), "{why}");
            assert!(
                missing.iter().all(|server| why.contains(&format!("{server} is gone"))),
                "{why}"
            );
        }
    }
}
