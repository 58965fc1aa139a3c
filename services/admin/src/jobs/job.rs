//! One change of the nodes, and how it is judged from the topology. A plain value: the time and the topology are handed in.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::ToSchema;
use wsmesh_adapter::{NodeId, NodeView, ServerName};

use super::progress::{self, ServerProgress, Verdict};
use crate::gather::{self, MissingServer};
use crate::shapes::Name;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// Every counted server shall hear the node.
    Add,
    /// The node shall be drained, and then gone, for every counted server.
    Remove,
}

/// The state of a job. A failed job undoes nothing: the change stays in the topology.
// A later one replaces an earlier one, when two admins judge differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobState {
    Running,
    Failed,
    Done,
}

/// One change of the nodes. Every admin has it, and every admin follows it from its own topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// The same on every admin.
    pub(crate) id: String,
    pub(crate) what: What,
    #[schema(value_type = Name)]
    pub(crate) node: NodeId,
    /// The admin that accepted it.
    #[schema(value_type = Name)]
    pub(crate) admin: ServerName,
    pub(crate) state: JobState,
    /// Why it failed, and what to do.
    #[schema(required = true)]
    pub(crate) why: Option<String>,
    #[serde(serialize_with = "gather::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: Timestamp,
    #[serde(serialize_with = "gather::rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) finished_at: Option<Timestamp>,
    /// Servers that were to try a new node before it was added, and did not answer.
    pub(crate) missing: Vec<MissingServer>,
    /// By name; the state at the end once the job has finished.
    pub(crate) servers: Vec<ServerProgress>,
    #[serde(skip)]
    pub(super) change: Change,
    /// When it was accepted, on this server's clock.
    #[serde(skip)]
    pub(super) began: Instant,
    /// The admin whose judgement ended it.
    #[serde(skip)]
    pub(super) judge: Option<ServerName>,
}

/// Which change of the topology a job stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// The epoch of the node with this change.
    pub(super) epoch: u64,
    /// Starts at 1; a change is tried again only after it has failed.
    pub(super) attempt: u32,
    /// Where the node is, without credentials. An admin that has not learned of the change makes it with this.
    pub(super) url: String,
    /// Servers that did not say whether they can use a new node.
    #[serde(default)]
    pub(super) missing: Vec<MissingServer>,
}

/// What an admin sees at one moment.
pub(super) struct Sight<'a> {
    pub(super) nodes: &'a [NodeView],
    pub(super) counted: &'a BTreeSet<ServerName>,
    /// Whether it sees all servers. An admin that was cut off knows too little to call a change done.
    pub(super) is_clear: bool,
    pub(super) now: Instant,
}

impl Sight<'_> {
    pub(super) fn node(&self, id: &NodeId) -> Option<&NodeView> {
        self.nodes.iter().find(|view| view.id == *id)
    }
}

impl Job {
    /// A job that begins now. Admins that accept one change at the same moment give it the same id, so it is one job.
    pub(super) fn begin(what: What, node: NodeId, change: Change, admin: ServerName) -> Self {
        Self {
            id: id(what, &node, &change),
            what,
            node,
            admin,
            state: JobState::Running,
            why: None,
            started_at: Timestamp::now(),
            finished_at: None,
            missing: change.missing.clone(),
            servers: Vec::new(),
            change,
            began: Instant::now(),
            judge: None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    /// Whether this is about the change, whichever attempt it is.
    pub(super) fn is_of(&self, what: What, node: &NodeId, epoch: u64) -> bool {
        (self.what, &self.node, self.change.epoch) == (what, node, epoch)
    }

    /// Whether this admin's topology has not learned of the change, though it began a while ago.
    pub(super) fn is_unheard_of(&self, sight: &Sight<'_>, patience: Duration) -> bool {
        let learned = progress::is_learned(self.what, self.change.epoch, sight.node(&self.node));
        self.is_running() && !learned && sight.now.duration_since(self.began) >= patience
    }

    /// Updates a running job. Returns whether anything about it is different.
    pub(super) fn judge(&mut self, sight: &Sight<'_>, me: &ServerName, limit: Duration) -> bool {
        let mut verdict = Verdict::Running;
        let before = std::mem::take(&mut self.servers);
        if let Some(node) = sight.node(&self.node) {
            self.servers = progress::progress(self.what, node, sight.counted);
            if sight.is_clear {
                verdict = progress::verdict(self.what, self.change.epoch, node, &self.servers);
            }
        }
        let (state, why) = match verdict {
            Verdict::Done => (JobState::Done, None),
            Verdict::Failed(why) => (JobState::Failed, Some(why)),
            Verdict::Running if sight.now.duration_since(self.began) < limit => return self.servers != before,
            Verdict::Running => {
                let why = progress::overdue(self.what, &self.node, &self.servers, limit);
                (JobState::Failed, Some(why))
            }
        };
        match &why {
            None => tracing::info!(job = self.id, node = %self.node, "job done"),
            Some(why) => tracing::warn!(job = self.id, node = %self.node, why, "job failed"),
        }
        self.state = state;
        self.why = why;
        self.finished_at = Some(Timestamp::now());
        self.judge = Some(me.clone());
        true
    }
}

/// Hexadecimal digits and a dash: it stands in paths and in headers, which an id of a node could not.
fn id(what: What, node: &NodeId, change: &Change) -> String {
    let mut digest = Sha256::new();
    digest.update(match what {
        What::Add => "add\0",
        What::Remove => "remove\0",
    });
    digest.update(change.epoch.to_be_bytes());
    digest.update(node.as_str());
    let digits: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{digits}-{}", change.attempt)
}
