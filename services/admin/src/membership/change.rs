//! One change of the nodes, as the leader makes it: the same preflight and the same jobs as through the API.

use std::sync::Arc;

use wsmesh_adapter::NodeId;

use super::shared::Shared;
use crate::discovery::FoundNode;
use crate::gather::{self, RefusedNode};

/// What becomes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Join(FoundNode),
    Leave(NodeId),
}

/// How a change went: an error says why it was not possible.
pub(super) type Outcome = (Change, Result<(), String>);

impl Change {
    pub(super) fn node(&self) -> &NodeId {
        match self {
            Self::Join(node) => &node.id,
            Self::Leave(node) => node,
        }
    }

    /// Makes it. Dropping the future undoes nothing that was accepted.
    pub(super) async fn make(self, on: Arc<Shared>) -> Outcome {
        let result = match &self {
            Self::Join(node) => join(&on, node).await,
            Self::Leave(node) => leave(&on, node).await,
        };
        (self, result)
    }
}

async fn join(on: &Shared, node: &FoundNode) -> Result<(), String> {
    let found = on.adapter.preflight(&node.url).await;
    let found = found.map_err(|error| error.to_string())?;
    if let Some(refused) = RefusedNode::new(node.id.clone(), &found) {
        return Err(refused.why());
    }
    // That took seconds.
    still_leads(on)?;
    if on.jobs.is_in_use(&node.id) {
        return Ok(());
    }
    let target = on.jobs.scale_target();
    if target
        .zip(node.ordinal)
        .is_some_and(|(target, ordinal)| ordinal >= target)
    {
        return Err("the StatefulSet is being scaled down".to_owned());
    }
    let missing = gather::missing_servers(&found.missing);
    let job = on.jobs.add(&node.url, missing).await;
    let job = job.map_err(|error| error.to_string())?;
    tracing::info!(node = %node.id, job = job.id, "the pod of this node is ready: it joins");
    Ok(())
}

async fn leave(on: &Shared, node: &NodeId) -> Result<(), String> {
    still_leads(on)?;
    let job = on.jobs.remove(node).await;
    let job = job.map_err(|error| error.to_string())?;
    tracing::info!(%node, job = job.id, "the StatefulSet does not have the pod of this node any more: it leaves");
    Ok(())
}

fn still_leads(on: &Shared) -> Result<(), String> {
    match (on.leadership.is_mine(), on.adapter.is_ready()) {
        (true, true) => Ok(()),
        (false, _) => Err("this admin does not lead any more".to_owned()),
        (true, false) => Err("this admin hears no Redis node".to_owned()),
    }
}
