//! One live server, as a plain value for applications and the admin API.

use serde::{Deserialize, Serialize};

use crate::wire::{Instance, NodeId, ServerName, ServiceName};

/// One live server, as this server sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Its name.
    pub name: ServerName,
    /// Its service.
    pub service: ServiceName,
    /// Which process.
    pub instance: Instance,
    /// Its version.
    pub version: String,
    /// Clients connected to it.
    pub clients: u64,
    /// Rooms with a member on it.
    pub rooms: u64,
    /// Nodes it hears.
    pub heard: Vec<NodeId>,
    /// Whether it has started far enough to count for choices.
    pub counted: bool,
    /// Whether it is about to leave: it finishes what it has begun, and gets nothing new.
    #[serde(default)]
    pub retiring: bool,
    /// Milliseconds since its last beacon; 0 for this server.
    pub age_ms: u64,
}

impl ServerInfo {
    /// Whether anything but load and age is different; these change all the time.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let key = |info: &Self| (info.instance, info.counted, info.retiring);
        (&self.name, key(self), &self.heard) != (&other.name, key(other), &other.heard)
    }
}
