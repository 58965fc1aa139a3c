//! The nodes at run time: shown, added, drained. Changes reach every server by beacons.

use super::adapter::Adapter;
use crate::error::TopologyError;
use crate::life::node_view::NodeView;
use crate::nodes::key_for;
use crate::wire::NodeId;

impl Adapter {
    /// The nodes as this server's map has them, gone ones included, sorted by id, with what each live server reports about them.
    pub fn topology(&self) -> Vec<NodeView> {
        self.parts.topology.view()
    }

    /// Adds a node for the whole cluster: `redis://host:port#id`, or `memory:id` on the embedded bus. Servers use their own
    /// URL for its id if they have one, else this one with their own credentials. Adding twice is adding once; adding a
    /// draining node ends the drain. Returns at once: [`Adapter::topology`] shows the progress on every server.
    ///
    /// # Errors
    /// When the URL cannot be used, carries credentials (they do not travel), or its id belongs to another node.
    pub fn add_node(&self, url: &str) -> Result<NodeId, TopologyError> {
        self.parts.topology.add(url)
    }

    /// Drains a node, for the whole cluster: nobody publishes through it any more, subscribers stay for the replay window,
    /// then it is gone. Draining twice is draining once. [`Adapter::topology`] shows the progress.
    ///
    /// # Errors
    /// When there is no such node, or no other active one that every counted server hears.
    pub fn drain_node(&self, id: &NodeId) -> Result<(), TopologyError> {
        self.parts.topology.drain(id)
    }

    /// A key for [`Adapter::with_order_key`] that sends messages through this node: with the strategy `ordered`, and as long as
    /// everyone concerned hears the node. For programs that check the nodes. `None` if the node is not active.
    pub fn key_through(&self, node: &NodeId) -> Option<String> {
        let nodes = self.parts.topology.nodes();
        let active = nodes.iter().filter(|it| nodes.active & 1 << it.index != 0);
        let ids: Vec<&str> = active.map(|it| it.id.as_str()).collect();
        key_for(node.as_str(), &ids)
    }
}
