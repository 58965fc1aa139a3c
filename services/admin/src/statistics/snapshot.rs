//! All statistics of one moment, as the API answers them, and as one event for everyone who watches.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use wsmesh_adapter::ServerName;

use super::event::event;
use crate::gather::{Answer, ClusterView, Edge, NodesView, StatsView, rfc3339};

/// All statistics of one moment. Each part is the body that the API answers.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) at: Timestamp,
    pub(crate) cluster: Answer<ClusterView>,
    pub(crate) nodes: Answer<NodesView>,
    pub(crate) stats: Answer<StatsView>,
    /// The ws-nodes, for new clients.
    pub(crate) edges: Vec<Edge>,
    /// How much would be interrupted if each server ended.
    pub(crate) loads: BTreeMap<ServerName, u64>,
    /// When it was taken, on the clock that cannot be set.
    taken: Instant,
    /// As an event; written once, by the first viewer that needs it.
    event: OnceLock<Bytes>,
}

/// The data of the event `snapshot`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(serialize_with = "rfc3339")]
    as_of: Timestamp,
    cluster: &'a Answer<ClusterView>,
    nodes: &'a Answer<NodesView>,
    stats: &'a Answer<StatsView>,
}

impl Snapshot {
    pub(super) fn new(
        at: Timestamp,
        cluster: Answer<ClusterView>,
        nodes: Answer<NodesView>,
        stats: Answer<StatsView>,
        edges: Vec<Edge>,
        loads: BTreeMap<ServerName, u64>,
    ) -> Self {
        Self {
            at,
            cluster,
            nodes,
            stats,
            edges,
            loads,
            taken: Instant::now(),
            event: OnceLock::new(),
        }
    }

    /// The statistics, and how old they are now.
    pub(crate) fn stats_now(&self) -> Answer<&StatsView> {
        self.stats.aged(self.taken.elapsed())
    }

    /// The event `snapshot`, shared by all viewers.
    pub(super) fn event(&self) -> Bytes {
        let write = || {
            event(
                "snapshot",
                &Parts {
                    as_of: self.at,
                    cluster: &self.cluster,
                    nodes: &self.nodes,
                    stats: &self.stats,
                },
            )
        };
        self.event.get_or_init(write).clone()
    }
}
