//! One lapse: a span of time for which the promise did not hold. A plain value for applications and the admin API.

use serde::{Deserialize, Serialize};

use crate::wire::NodeId;

/// Why the promise did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LapseReason {
    /// This server heard no node for longer than the replay window: what others sent meanwhile may be missing here.
    Isolated,
    /// This process was stopped for longer than the replay window: what others sent meanwhile may be missing here.
    Stalled,
    /// The replay window ran out of bytes before its time: what this server sent may be missing at others.
    WindowTooSmall,
    /// Copies did not find, in time, a node that their receivers hear: what this server sent may be missing at others.
    Expired,
}

impl LapseReason {
    /// The reason's name, from a fixed set: safe as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Stalled => "stalled",
            Self::WindowTooSmall => "window-too-small",
            Self::Expired => "expired",
        }
    }
}

/// A span of time for which the promise did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lapse {
    /// Why.
    pub reason: LapseReason,
    /// The node concerned, if the lapse is about one node.
    pub node: Option<NodeId>,
    /// How long before `noticed_ms` it began, in milliseconds.
    pub started_ms_ago: u64,
    /// How long it lasted, in milliseconds.
    pub length_ms: u64,
    /// When it was noticed, in milliseconds since the Unix epoch, on this server's clock.
    pub noticed_ms: u64,
}
