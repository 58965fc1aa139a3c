//! What jobs do: to one node, or to the StatefulSet of all of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// Every counted server shall hear the node.
    Add,
    /// The node shall be drained, and then gone, for every counted server.
    Remove,
    /// The StatefulSet of the Redis nodes shall have another number of replicas.
    Scale,
}

/// What becomes of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeChange {
    Add,
    Remove,
}

impl What {
    pub(crate) const ALL: [Self; 3] = [Self::Add, Self::Remove, Self::Scale];

    /// As it is written in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Scale => "scale",
        }
    }

    /// What becomes of the one node that the job is about; none if a StatefulSet is scaled.
    pub(super) fn of_node(self) -> Option<NodeChange> {
        match self {
            Self::Add => Some(NodeChange::Add),
            Self::Remove => Some(NodeChange::Remove),
            Self::Scale => None,
        }
    }
}
