//! What several servers found out about an address. Plain values.

use serde::{Deserialize, Serialize};

use crate::nodes::{CheckKind, CheckResult, NodeFacts, Preflight};
use crate::wire::{NodeId, ServerName};

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
    /// Whether nothing failed anywhere. Servers that did not answer are no failure.
    pub fn passes(&self) -> bool {
        self.servers.iter().all(|(_, preflight)| preflight.passes())
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
