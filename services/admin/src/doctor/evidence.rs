//! What the doctor gathered, as plain values: the checks judge it, and do nothing else.

use std::time::Duration;

use wsmesh_adapter::{
    Difference, Lapse, NameConflict, NodeFacts, NodeId, NodeStatus, NodeView, Preflight, ServerInfo, ServerName,
};

use crate::kubernetes::{PodNames, View};

/// A Redis node, asked directly.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// `redis-cli` and how it reaches the node, without secrets.
    pub(crate) cli: String,
    /// What the preflight found out; an error if it took too long. None: the node is not among the doctor's own settings.
    pub(crate) preflight: Option<Result<Preflight, String>>,
    /// What the node says about itself. None: it was not asked.
    pub(crate) facts: Option<Result<NodeFacts, String>>,
}

/// The cluster, as it looked when the doctor had visited it for a moment.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// When, by the doctor's own clock: milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// The other servers, without other doctors.
    pub(crate) servers: Vec<Server>,
    /// The nodes of all servers and of the doctor's settings.
    pub(crate) topology: Vec<NodeView>,
    /// The nodes of the doctor's settings, with their URLs, without credentials.
    pub(crate) configured: Vec<(NodeId, String)>,
    /// Where other servers' settings are not the doctor's.
    pub(crate) differences: Vec<Difference>,
    pub(crate) conflicts: Vec<NameConflict>,
}

/// Another server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) info: ServerInfo,
    /// Its answer, or why there is none.
    pub(crate) answer: Result<Answer, String>,
}

impl Server {
    pub(crate) fn name(&self) -> &ServerName {
        &self.info.name
    }
}

/// What a server answered. A server of an older version does not say everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) clients: u64,
    pub(crate) nodes: Vec<NodeStatus>,
    pub(crate) lapses: Vec<Lapse>,
    /// Its clock: milliseconds since the Unix epoch.
    pub(crate) clock_ms: Option<u64>,
    /// The doctor's clock when the question left.
    pub(crate) asked_ms: u64,
    /// From the question to the answer.
    pub(crate) round_trip: Duration,
    /// Files that its process may have open.
    pub(crate) open_files: Option<u64>,
    /// Its `--shutdown-grace`.
    pub(crate) grace_ms: Option<u64>,
    /// Its `--drain-time`, if it has clients.
    pub(crate) drain_ms: Option<u64>,
    /// Whether it is a ws-node that was told to send its clients away.
    pub(crate) is_draining: bool,
}

/// What Kubernetes says.
#[derive(Debug, Clone)]
pub(crate) struct Pods {
    pub(crate) namespace: String,
    /// The account that this pod has.
    pub(crate) account: String,
    /// The Redis pods, if their Service is named in the settings.
    pub(crate) redis: Option<View>,
    /// The StatefulSet of the Redis pods, if it is named in the settings.
    pub(crate) stateful_set: Option<RedisSet>,
    /// The pods of the servers.
    pub(crate) servers: Vec<PodGrace>,
    pub(crate) rights: Vec<Right>,
}

/// The StatefulSet of the Redis pods.
#[derive(Debug, Clone)]
pub(crate) struct RedisSet {
    pub(crate) name: String,
    /// How many pods it shall have, or why that is not known.
    pub(crate) replicas: Result<u32, String>,
    /// The times of one of its pods, or why they are not known.
    pub(crate) times: Result<GraceTimes, String>,
    pub(crate) names: PodNames,
    /// A node that leaves is drained for this long: servers may send again what they published.
    pub(crate) replay_window: Duration,
}

/// How long a pod may take to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodGrace {
    pub(crate) server: ServerName,
    /// Its times, or why they are not known.
    pub(crate) times: Result<GraceTimes, String>,
}

/// The times of a pod's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GraceTimes {
    /// `terminationGracePeriodSeconds`.
    pub(crate) grace_seconds: u64,
    /// `preStop.sleep`; it counts among the grace period.
    pub(crate) sleep_seconds: u64,
}

/// Something that admin does with the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) verb: &'static str,
    pub(crate) resource: &'static str,
    /// The resource's API group; empty for the core one.
    pub(crate) group: &'static str,
    /// The one object that it is about; none: all of them.
    pub(crate) name: Option<String>,
    /// The role of the whole cluster that grants it; none: a Role of the namespace does.
    pub(crate) cluster_role: Option<&'static str>,
    /// What admin needs it for.
    pub(crate) purpose: &'static str,
    /// Whether it may; an error if that could not be asked.
    pub(crate) is_allowed: Result<bool, String>,
}
