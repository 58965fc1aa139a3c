//! The topology for people: each node, and what every live server reports about it. Plain values.

use serde::{Deserialize, Serialize};

use crate::nodes::Phase;
use crate::wire::{NodeId, ServerName};

/// The state of a node, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Not every counted server has heard it yet: until then it carries no messages for everyone.
    Joining,
    /// Used.
    Active,
    /// Senders have stopped; subscribers stay for the replay window.
    Draining,
    /// Nobody uses it. The id may be added again.
    Gone,
}

impl From<Phase> for NodeState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Active => Self::Active,
            Phase::Draining => Self::Draining,
            Phase::Gone => Self::Gone,
        }
    }
}

/// One node of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// How servers without a URL of their own for it reach it; without credentials.
    pub url: String,
    /// How often it was made active.
    pub epoch: u64,
    /// Its state.
    pub state: NodeState,
    /// What each live server, this one included, reports about it; sorted by name.
    pub servers: Vec<NodeAtServer>,
}

/// What one server reports about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAtServer {
    /// The server.
    pub server: ServerName,
    /// The node's state in that server's map; none if that server does not know it yet.
    pub state: Option<NodeState>,
    /// Whether that server hears it.
    pub hears: bool,
}

impl NodeView {
    /// Whether all servers have it in the same state.
    pub(crate) fn is_agreed(&self) -> bool {
        let mut states = self.servers.iter().map(|server| server.state);
        let first = states.next();
        states.all(|state| Some(state) == first)
    }
}
