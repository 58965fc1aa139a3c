//! The result of checking whether a Redis can carry messages, before it is accepted. Plain values.

use serde::{Deserialize, Serialize};

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// A TCP connection can be opened.
    Reachable,
    /// A Redis answers there, in time.
    Redis,
    /// Encryption is as the URL says, and both sides trust each other's certificate.
    Tls,
    /// User and password are accepted, and so is the connection.
    Login,
    /// It is not too old.
    Version,
    /// This server's user may publish on the cluster's channels.
    Publish,
    /// This server's user may subscribe to the cluster's channels.
    Subscribe,
    /// It buffers enough for a subscriber that falls behind.
    OutputBuffer,
    /// It is one independent Redis, and not a known node under another id or address.
    Identity,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum CheckResult {
    /// All is well.
    Passed,
    /// It must be mended first.
    Failed {
        /// What is wrong.
        why: String,
        /// What to do.
        fix: String,
    },
    /// It could not be found out, which is no reason to reject the node.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was checked.
    pub what: CheckKind,
    /// The result.
    #[serde(flatten)]
    pub result: CheckResult,
}

/// What one server found out about an address: a result for each [`CheckKind`] that applies, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// What the Redis calls this run of itself, if it says so.
    pub run_id: Option<String>,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Preflight {
    /// Whether nothing failed.
    pub fn passes(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        let failed = |check: &&Check| matches!(check.result, CheckResult::Failed { .. });
        self.checks.iter().filter(failed)
    }
}
