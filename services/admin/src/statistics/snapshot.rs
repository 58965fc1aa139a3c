//! All statistics of one moment, as the API answers them, and as one event for everyone who watches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use wsmesh_adapter::{Instance, ServerName};

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
    /// The processes that were asked.
    processes: BTreeSet<(ServerName, Instance)>,
    /// When they were asked.
    asked: Instant,
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
        processes: BTreeSet<(ServerName, Instance)>,
    ) -> Self {
        Self {
            at,
            cluster,
            nodes,
            stats,
            edges,
            loads,
            processes,
            asked: Instant::now(),
            taken: Instant::now(),
            event: OnceLock::new(),
        }
    }

    /// The same, of servers that were asked at this time.
    pub(super) fn asked_at(self, asked: Instant) -> Self {
        Self { asked, ..self }
    }

    /// The statistics, and how old they are now.
    pub(crate) fn stats_now(&self) -> Answer<&StatsView> {
        self.stats.aged(self.taken.elapsed())
    }

    /// The servers, and how old that is now, if nothing better would be got by asking again: all these processes answered, and they
    /// were asked less than `most` ago and after `changed`.
    pub(super) fn recent_cluster(
        &self,
        processes: &BTreeSet<(ServerName, Instance)>,
        most: Duration,
        changed: Option<Instant>,
    ) -> Option<Answer<ClusterView>> {
        let age = self.taken.elapsed();
        let is_good = self.cluster.complete && age < most && changed.is_none_or(|changed| changed < self.asked);
        (is_good && *processes == self.processes).then(|| self.cluster.clone().at_age(age))
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
