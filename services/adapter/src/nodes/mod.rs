//! STUB while the adapter is being written: the public surface only.
mod select;
pub use select::Strategy;
use crate::wire::NodeId;
use std::time::Duration;

/// One Redis node's address: `redis://` or `rediss://`, with user, password and an id as fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl { id: NodeId }
impl NodeUrl {
    /// Parses `redis[s]://[user[:password]@]host[:port][?ca=FILE][#id]`; errors say what to write instead.
    pub fn parse(_text: &str) -> Result<Self, NodeUrlError> { unimplemented!() }
    /// The node's id: the fragment, else `host:port`.
    pub fn id(&self) -> &NodeId { &self.id }
    /// Sets the password (from a file), in place of the URL's own.
    pub fn with_password(self, _password: String) -> Self { unimplemented!() }
}
impl std::fmt::Debug for NodeUrl { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.id.fmt(f) } }
/// Without credentials.
impl std::fmt::Display for NodeUrl { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.id.fmt(f) } }
/// Why a node's URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NodeUrlError(pub String);

/// The embedded bus: several servers in one process, with named nodes that can be told to fail.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus;
impl MemoryBus {
    /// A bus with these nodes.
    pub fn new<'a>(_ids: impl IntoIterator<Item = &'a str>) -> Self { Self }
}

/// What this server knows of one node.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its id.
    pub id: NodeId,
    /// `host:port`, without credentials.
    pub address: String,
    /// Whether this server hears it.
    pub heard: bool,
    /// Last round trip of a probe, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Last error, in words.
    pub error: Option<String>,
    /// How often a connection was opened again.
    pub reconnects: u64,
}
impl NodeStatus { /// Age helper placeholder.
 #[doc(hidden)] pub fn _unused(_: Duration) {} }
