//! Which Redis nodes there should be, as somebody outside of wsmesh knows: Kubernetes. Reads only; what is done about it is in
//! `membership`.

mod pods;
#[cfg(test)]
mod scripted;

use std::sync::Arc;

use wsmesh_adapter::NodeId;

pub(crate) use pods::Pods;
#[cfg(test)]
pub(crate) use scripted::Scripted;

/// Finds nodes.
pub(crate) trait Discovery: Send + 'static {
    /// Waits until what is found differs from what was returned last; the first call returns what is known. Always the whole picture,
    /// after it was quiet for a moment. Dropping the future loses nothing.
    fn changed(&mut self) -> impl Future<Output = Arc<Found>> + Send;
}

/// Everything that is found at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Sorted by ordinal, then id.
    pub(crate) nodes: Vec<FoundNode>,
    /// How many of the nodes with an ordinal there shall be; none if nobody says.
    pub(crate) replicas: Option<u32>,
    /// Why this may be out of date. It is the last good picture then.
    pub(crate) problem: Option<String>,
}

/// A Redis that may be a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundNode {
    /// Its place in the StatefulSet; none if it has none.
    pub(crate) ordinal: Option<u32>,
    pub(crate) id: NodeId,
    /// Without credentials: each server uses its own.
    pub(crate) url: String,
    /// Whether it can be used now. One that is ending cannot.
    pub(crate) ready: bool,
}

#[cfg(test)]
mod pods_tests;
