//! What a server says about itself on the beacon channel, through every node. A pure value, written as JSON.
//!
//! Readers ignore fields that they do not know, and understand format versions N and N − 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{Instance, NodeId, ServerName, ServiceName};

/// The format that this build writes.
pub(crate) const FORMAT: u32 = 1;

/// One beacon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beacon {
    /// Format version.
    pub(crate) format: u32,
    pub(crate) name: ServerName,
    pub(crate) service: ServiceName,
    pub(crate) instance: Instance,
    /// The program's version.
    pub(crate) version: String,
    /// Counts up with every beacon of this instance, so that a late copy is told from news.
    pub(crate) number: u64,
    /// Whether it is started far enough to count for choices.
    pub(crate) counted: bool,
    /// The nodes that it hears.
    pub(crate) heard: Vec<NodeId>,
    /// How often its hearing of each node was interrupted.
    #[serde(default)]
    pub(crate) gaps: BTreeMap<NodeId, u64>,
    /// The oldest of its sequences that it may still publish again.
    #[serde(default)]
    pub(crate) mark: u64,
    /// Its map of nodes, as `nodes` writes it; opaque here.
    #[serde(default)]
    pub(crate) topology: Value,
    /// Its settings that should be the same everywhere.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) clients: u64,
    pub(crate) rooms: u64,
    /// Whether it is on its way out.
    #[serde(default, skip_serializing_if = "Parting::is_staying")]
    pub(crate) parting: Parting,
    /// A younger process that uses this server's name: told so that it refuses to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rival: Option<Instance>,
}

/// How far a server is with leaving. It only moves forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Parting {
    /// It serves.
    #[default]
    Staying,
    /// It finishes what it has begun, and is to be given nothing new.
    Retiring,
    /// Goodbye.
    Leaving,
}

impl Parting {
    fn is_staying(&self) -> bool {
        *self == Self::Staying
    }
}

impl Beacon {
    /// Whether this is its last word.
    pub(crate) fn is_goodbye(&self) -> bool {
        self.parting == Parting::Leaving
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a beacon; `None` for anything else, and for formats that this build cannot understand.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let beacon: Self = serde_json::from_slice(bytes).ok()?;
        (1..=FORMAT + 1).contains(&beacon.format).then_some(beacon)
    }
}
