//! A beacon: what a server tells the others about itself, through every node. A pure value, written as JSON.
//!
//! Readers ignore unknown fields and understand format versions N and N − 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{ClusterId, Instance, NodeId, Runs, ServerName, ServiceName};

/// The format that this build writes.
pub(crate) const FORMAT: u32 = 1;

/// One beacon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beacon {
    /// Format version.
    pub(crate) format: u32,
    /// The cluster that the server belongs to. Empty at servers of an older version: it fits every cluster.
    #[serde(default, skip_serializing_if = "ClusterId::is_empty")]
    pub(crate) cluster_id: ClusterId,
    pub(crate) name: ServerName,
    pub(crate) service: ServiceName,
    pub(crate) instance: Instance,
    /// The program's version.
    pub(crate) version: String,
    /// Counts the beacons of this instance, so that a late copy is recognised.
    pub(crate) number: u64,
    /// Whether the server counts for the choice of nodes: it has finished starting.
    pub(crate) counted: bool,
    /// The nodes that the server hears.
    pub(crate) heard: Vec<NodeId>,
    /// The run of Redis that the server's link leads to, by node. Unknown to servers of an older version.
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(crate) runs: Runs,
    /// The number of gaps in its hearing, by node.
    #[serde(default)]
    pub(crate) gaps: BTreeMap<NodeId, u64>,
    /// What each node calls the server's subscribing connection, for those who ask the node about it. Unknown to servers of
    /// an older version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) subscribers: BTreeMap<NodeId, u64>,
    /// The oldest sequence that the server may still publish again.
    #[serde(default)]
    pub(crate) mark: u64,
    /// The server's map of nodes, written by `nodes`; opaque here.
    #[serde(default)]
    pub(crate) topology: Value,
    /// The settings that should be the same on every server.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) clients: u64,
    pub(crate) rooms: u64,
    /// Whether the server is leaving.
    #[serde(default, skip_serializing_if = "Parting::is_staying")]
    pub(crate) parting: Parting,
    /// A younger process with this server's name: named here so that it refuses to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rival: Option<Instance>,
}

/// How far a server is with leaving. Only moves forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Parting {
    /// It serves normally.
    #[default]
    Staying,
    /// It finishes open requests and must get no new ones.
    Retiring,
    /// It says goodbye: this is its last beacon.
    Leaving,
}

impl Parting {
    fn is_staying(&self) -> bool {
        *self == Self::Staying
    }
}

impl Beacon {
    /// Whether the server says in both beacons that it hears and counts the same.
    pub(crate) fn hears_as(&self, other: &Self) -> bool {
        let said = |of: &Self| (of.counted, of.parting);
        said(self) == said(other) && self.heard == other.heard && self.runs == other.runs
    }

    /// Whether this is the server's last beacon.
    pub(crate) fn is_goodbye(&self) -> bool {
        self.parting == Parting::Leaving
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a beacon; `None` for other bytes and for formats that this build does not understand.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let beacon: Self = serde_json::from_slice(bytes).ok()?;
        (1..=FORMAT + 1).contains(&beacon.format).then_some(beacon)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(more: Value) -> Option<Beacon> {
        let mut beacon = json!({
            "format": 1, "name": "a", "service": "s", "instance": 5, "version": "1", "number": 1, "counted": true, "heard": ["redis-0"],
            "clients": 0, "rooms": 0,
        });
        let fields = beacon.as_object_mut().expect("a map");
        fields.extend(more.as_object().expect("a map").clone());
        Beacon::decode(&serde_json::to_vec(&beacon).expect("JSON"))
    }

    #[test]
    fn a_beacon_of_an_older_version_says_neither_its_cluster_nor_its_runs() {
        let beacon = written(json!({})).expect("readable");
        assert!(beacon.cluster_id.is_empty() && beacon.runs.is_empty());
        let again = String::from_utf8(beacon.encode()).expect("JSON");
        assert!(!again.contains("clusterId") && !again.contains("runs"), "{again}");
    }

    #[test]
    fn run_ids_and_the_cluster_id_travel_and_hostile_ones_do_no_harm() {
        let beacon = written(json!({"clusterId": "shop/mesh", "runs": {"redis-0": "0f7a6b5c"}})).expect("readable");
        assert_eq!(Beacon::decode(&beacon.encode()), Some(beacon.clone()));
        assert_eq!(beacon.cluster_id.as_str(), "shop/mesh");
        for runs in [
            json!(7),
            json!({"redis-0": "x".repeat(1 << 20)}),
            json!({"redis-0": null}),
        ] {
            assert!(written(json!({"runs": runs})).expect("readable").runs.is_empty());
        }
        for id in [json!("x".repeat(256)), json!("a\nb"), json!(7)] {
            assert_eq!(written(json!({"clusterId": id})), None, "not a beacon");
        }
    }
}
