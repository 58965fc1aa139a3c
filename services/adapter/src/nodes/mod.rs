//! The Redis nodes: which ones there are, how healthy they are, what was published through them, and the I/O with them
//! behind one trait. Knows `wire` only.

mod copies;
mod endpoint;
mod examine;
mod facts;
mod fastest;
mod files;
mod findings;
mod health;
mod inquiry;
mod interest;
mod largest;
mod link;
#[cfg(test)]
mod link_tests;
mod memory;
mod password;
mod preflight;
mod redis;
mod replay;
mod runs_in_use;
mod select;
mod set;
mod task;
mod topology;
mod unusable;
mod url;

use serde::{Deserialize, Serialize};

use crate::wire::NodeId;

pub(crate) use copies::Copies;
pub(crate) use endpoint::Endpoint;
pub(crate) use examine::{Demands, Examined, examine};
pub use facts::{NodeFacts, OutputBuffer, SlowCommand};
pub(crate) use fastest::Fastest;
pub(crate) use findings::Findings;
pub(crate) use health::{Health, SILENT_INTERVALS};
pub(crate) use inquiry::Inquiry;
pub(crate) use interest::Interest;
pub(crate) use largest::Largest;
pub(crate) use link::{Arrival, Channel, LinkError, LinkErrorKind, Subscriber, SubscriberNumber, limited};
pub use memory::{Fault, LinkFault, MemoryBus};
pub use password::PasswordFile;
pub use preflight::{Check, CheckKind, CheckResult, Preflight};
pub(crate) use redis::{check_files, checked_endpoint, endpoint as redis_endpoint};
pub(crate) use replay::{Kept, Window};
pub(crate) use runs_in_use::RunsInUse;
pub use select::Strategy;
pub(crate) use select::{MAX_NODES, Mask, RETIRED, cover, indexes, key_for, nth, rendezvous, score};
pub(crate) use set::NodeSet;
pub(crate) use task::{Batch, Environment, Node, run as run_node};
pub(crate) use topology::{Entries as TopologyEntries, Entry as TopologyEntry, Phase, Rejected, Topology};
pub(crate) use unusable::Unusable;
pub use url::{NodeUrl, NodeUrlError};

/// One node, as this server sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's id.
    pub id: NodeId,
    /// `host:port`, without credentials.
    pub address: String,
    /// Whether this server hears it.
    pub heard: bool,
    /// Last round trip of a probe, in milliseconds; none while the node is not heard.
    pub rtt_ms: Option<f64>,
    /// Why the node is not heard, or not used together with another server, as text.
    pub error: Option<String>,
    /// How often a connection was opened again.
    pub reconnects: u64,
    /// How often hearing was interrupted: a subscriber connection ended, or a probe was lost.
    pub gaps: u64,
}

impl NodeStatus {
    /// Whether anything except the round trip and the gaps differs.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        (&self.id, self.heard, &self.error, self.reconnects) != (&other.id, other.heard, &other.error, other.reconnects)
    }
}
