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
use super::replicas::{NodeProgress, Replicas, Scaling};
use super::what::{NodeChange, What};
use crate::gather::{self, MissingServer};
use crate::shapes::Name;

/// The state of a job. A failed job undoes nothing: the change stays in the topology.
// A later one replaces an earlier one, when two admins judge differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobState {
    Running,
    Failed,
    Done,
}

/// One change of the nodes. Every admin has it, and every admin follows it from its own topology. The admin that leads scales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// The same on every admin.
    pub(crate) id: String,
    pub(crate) what: What,
    /// The node that is added or removed; null if a StatefulSet is scaled.
    #[schema(value_type = Option<Name>, required = true)]
    pub(crate) node: Option<NodeId>,
    /// Of a StatefulSet that is scaled; else null.
    #[schema(required = true)]
    pub(crate) replicas: Option<Replicas>,
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
    /// Of a StatefulSet that is scaled: the nodes that come, or that go, in this order.
    pub(crate) nodes: Vec<NodeProgress>,
    #[serde(skip)]
    pub(super) change: Change,
    /// The change, if a StatefulSet is scaled.
    #[serde(skip)]
    pub(super) scaling: Option<Scaling>,
    /// When it was accepted, on this server's clock.
    #[serde(skip)]
    pub(super) began: Instant,
    /// The admin whose judgement ended it.
    #[serde(skip)]
    pub(super) judge: Option<ServerName>,
}

/// Which change of the topology a job stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    /// The epoch of the node with this change; 0 if a StatefulSet is scaled.
    pub(super) epoch: u64,
    /// Starts at 1; a change is tried again only after it has failed.
    pub(super) attempt: u32,
    /// Where the node is, without credentials. An admin that has not learned of the change makes it with this. Empty if a StatefulSet is
    /// scaled.
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
        let id = id(what, change.epoch, node.as_str(), change.attempt);
        Self {
            node: Some(node),
            missing: change.missing.clone(),
            change,
            ..Self::new(id, what, admin)
        }
    }

    /// A job that begins to scale a StatefulSet now; with one id as above.
    pub(super) fn begin_scale(scaling: Scaling, attempt: u32, admin: ServerName) -> Self {
        let id = id(What::Scale, scaling.replicas.to.into(), &scaling.version, attempt);
        Self {
            replicas: Some(scaling.replicas),
            change: Change {
                attempt,
                ..Change::default()
            },
            scaling: Some(scaling),
            ..Self::new(id, What::Scale, admin)
        }
    }

    /// A running job without a change.
    pub(super) fn new(id: String, what: What, admin: ServerName) -> Self {
        Self {
            id,
            what,
            node: None,
            replicas: None,
            admin,
            state: JobState::Running,
            why: None,
            started_at: Timestamp::now(),
            finished_at: None,
            missing: Vec::new(),
            servers: Vec::new(),
            nodes: Vec::new(),
            change: Change::default(),
            scaling: None,
            began: Instant::now(),
            judge: None,
        }
    }

    /// A running job of this kind.
    #[cfg(test)]
    pub(crate) fn for_tests(id: &str, what: What) -> Self {
        let admin = ServerName::new("admin-0").expect("a name");
        Self::new(id.to_owned(), what, admin)
    }

    /// The one node that it is about, and what becomes of it.
    fn of_node(&self) -> Option<(&NodeId, NodeChange)> {
        self.node.as_ref().zip(self.what.of_node())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    /// Whether this is about the change, whichever attempt it is.
    pub(super) fn is_of(&self, what: What, node: &NodeId, epoch: u64) -> bool {
        (self.what, self.node.as_ref(), self.change.epoch) == (what, Some(node), epoch)
    }

    /// Whether this scales a StatefulSet from this version of it to so many replicas, whichever attempt it is.
    pub(super) fn is_same_scale(&self, other: &Scaling) -> bool {
        let of = |scaling: &Scaling| (scaling.replicas.to, scaling.version.clone());
        self.scaling.as_ref().is_some_and(|scaling| of(scaling) == of(other))
    }

    /// Whether this admin's topology has not learned of the change, though it began a while ago.
    pub(super) fn is_unheard_of(&self, sight: &Sight<'_>, patience: Duration) -> bool {
        // Every admin that has the job of a scale has the whole change.
        let Some((node, what)) = self.of_node() else {
            return false;
        };
        let learned = progress::is_learned(what, self.change.epoch, sight.node(node));
        self.is_running() && !learned && sight.now.duration_since(self.began) >= patience
    }

    /// Updates a running job. Returns whether anything about it is different.
    pub(super) fn judge(&mut self, sight: &Sight<'_>, me: &ServerName, limit: Duration) -> bool {
        let of_node = self.of_node().map(|(node, what)| (node.clone(), what));
        let (is_changed, verdict) = match (of_node, &self.scaling) {
            (Some((node, what)), _) => self.judge_node(&node, what, sight),
            (None, Some(scaling)) => {
                let nodes = scaling.progress(sight.nodes, sight.counted, sight.is_clear);
                // Only the admin that leads knows whether the StatefulSet is scaled.
                (
                    std::mem::replace(&mut self.nodes, nodes) != self.nodes,
                    Verdict::Running,
                )
            }
            (None, None) => (false, Verdict::Running),
        };
        let end = match verdict {
            Verdict::Done => Ok(()),
            Verdict::Failed(why) => Err(why),
            Verdict::Running if sight.now.duration_since(self.began) < limit => return is_changed,
            Verdict::Running => Err(self.overdue(limit)),
        };
        self.end(end, me);
        true
    }

    /// Updates the progress of a change of one node. Returns whether it is different, and what the topology says about the change.
    fn judge_node(&mut self, node: &NodeId, what: NodeChange, sight: &Sight<'_>) -> (bool, Verdict) {
        let before = std::mem::take(&mut self.servers);
        let Some(view) = sight.node(node) else {
            return (!before.is_empty(), Verdict::Running);
        };
        self.servers = progress::progress(what, view, sight.counted);
        let verdict = match sight.is_clear {
            true => progress::verdict(what, self.change.epoch, view, &self.servers),
            false => Verdict::Running,
        };
        (self.servers != before, verdict)
    }

    fn overdue(&self, limit: Duration) -> String {
        match (self.of_node(), &self.scaling) {
            (Some((node, what)), _) => progress::overdue(what, node, &self.servers, limit),
            (None, Some(scaling)) => scaling.overdue(&self.nodes, limit),
            (None, None) => format!("not done within {} s", limit.as_secs_f64()),
        }
    }

    /// Ends a running job, as this admin judges it; with an error it has failed.
    pub(super) fn end(&mut self, end: Result<(), String>, me: &ServerName) {
        let about = self.about();
        match &end {
            Ok(()) => tracing::info!(job = self.id, about, "job done"),
            Err(why) => tracing::warn!(job = self.id, about, why, "job failed"),
        }
        self.state = if end.is_ok() { JobState::Done } else { JobState::Failed };
        self.why = end.err();
        self.finished_at = Some(Timestamp::now());
        self.judge = Some(me.clone());
    }

    /// What it changes, in a word or two.
    pub(super) fn about(&self) -> String {
        match (&self.node, self.replicas) {
            (Some(node), _) => format!("node {node}"),
            (None, Some(Replicas { from, to })) => format!("replicas {from} to {to}"),
            (None, None) => String::new(),
        }
    }
}

/// Hexadecimal digits and a dash: it stands in paths and in headers, which an id of a node could not.
fn id(what: What, number: u64, name: &str, attempt: u32) -> String {
    let mut digest = Sha256::new();
    digest.update(match what {
        What::Add => "add\0",
        What::Remove => "remove\0",
        What::Scale => "scale\0",
    });
    digest.update(number.to_be_bytes());
    digest.update(name);
    let digits: String = digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{digits}-{attempt}")
}
