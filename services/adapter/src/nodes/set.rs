//! The nodes that this server uses, each in a slot of its own, which is also its bit in sets of nodes. The value is
//! replaced as a whole when the topology changes, so that a choice always sees slots, nodes and states that belong
//! together.

use std::sync::Arc;

use super::select::{MAX_NODES, Mask};
use super::task::Node;
use crate::wire::NodeId;

/// Nodes by slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeSet {
    slots: Vec<Option<Arc<Node>>>,
    /// The nodes that senders may choose; the others are draining.
    pub(crate) active: Mask,
}

impl NodeSet {
    /// All nodes, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.slots.iter().flatten()
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Arc<Node>> {
        self.slots.get(index)?.as_ref()
    }

    pub(crate) fn index_of(&self, id: &NodeId) -> Option<usize> {
        self.iter().find(|node| node.id == *id).map(|node| node.index)
    }

    /// Puts a node in its slot.
    pub(crate) fn insert(&mut self, node: Arc<Node>) {
        let index = node.index;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(node);
    }

    /// Removes a node. Its slot must not be used again before its task has ended.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Arc<Node>> {
        self.active &= !(1 << index);
        self.slots.get_mut(index)?.take()
    }

    /// A slot that is free and not in `busy`.
    pub(crate) fn free_slot(&self, busy: Mask) -> Option<usize> {
        (0..MAX_NODES).find(|&index| busy & 1 << index == 0 && self.at(index).is_none())
    }
}
