//! Choosing a node for a message among those that may be used. Pure.

use serde::{Deserialize, Serialize};

/// How the node for a message is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Rendezvous hash of the topic: one topic keeps its node, so its order.
    #[default]
    Ordered,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the shortest round trip.
    Fastest,
}
