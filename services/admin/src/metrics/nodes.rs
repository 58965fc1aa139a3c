//! What the Redis nodes say about themselves and how many of them there should be, as metrics. Shows what the statistics know anyway, a
//! few seconds old: nothing is asked when somebody reads the metrics. The series of a node end when the node is removed.

use std::fmt;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use wsmesh_adapter::{NodeFacts, NodeId, NodeState};

use crate::gather::{Facts, Lack, NodesView};

/// What is known now.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: Facts,
    pub(crate) nodes: NodesView,
}

/// Tells what is known; nothing once the admin has ended.
type Source = Box<dyn Fn() -> Option<Known> + Send + Sync>;

const NO_LABELS: &[&str] = &[];

/// Reads one number of a node.
type Read = fn(&NodeFacts) -> Option<u64>;

const GAUGES: [(&str, &str, Read); 5] = [
    ("wsmesh_redis_memory_bytes", "Memory that the node uses.", |facts| {
        facts.used_memory_bytes
    }),
    (
        "wsmesh_redis_memory_limit_bytes",
        "Most memory that the node may use; 0 if there is no limit.",
        |facts| facts.max_memory_bytes,
    ),
    (
        "wsmesh_redis_clients",
        "Connections of the node, ours and others.",
        |facts| facts.clients,
    ),
    (
        "wsmesh_redis_subscriber_buffer_bytes",
        "What waits in the node for one of our servers, for the one for which most waits.",
        largest_buffer,
    ),
    (
        "wsmesh_redis_uptime_seconds",
        "How long the node has been running.",
        |facts| facts.uptime_seconds,
    ),
];

const COUNTERS: [(&str, &str, Read); 3] = [
    (
        "wsmesh_redis_commands_total",
        "Commands that the node has processed.",
        |facts| facts.commands,
    ),
    (
        "wsmesh_redis_evicted_keys_total",
        "Keys that the node evicted for lack of memory. wsmesh stores none.",
        |facts| facts.evicted_keys,
    ),
    (
        "wsmesh_redis_rejected_connections_total",
        "Connections that the node rejected because it had too many.",
        |facts| facts.rejected_connections,
    ),
];

/// 0 if none of our servers is subscribed; unknown if the node's user may not ask.
fn largest_buffer(facts: &NodeFacts) -> Option<u64> {
    if facts.forbidden.iter().any(|command| command == "CLIENT LIST") {
        return None;
    }
    let buffers = facts.output_buffers.iter().map(|buffer| buffer.bytes);
    Some(buffers.max().unwrap_or(0))
}

/// The metrics of the nodes.
struct NodesMetrics {
    source: Source,
    /// Of one reading at a time: they are written anew for each.
    shown: Mutex<Shown>,
    descriptions: Vec<Desc>,
}

#[derive(Debug)]
struct Shown {
    up: IntGaugeVec,
    gauges: Vec<(IntGaugeVec, Read)>,
    counters: Vec<(IntCounterVec, Read)>,
    bytes: IntCounterVec,
    slow_commands: IntCounterVec,
    /// Without labels, but with no series while it is not known.
    wanted: IntGaugeVec,
    not_joined: IntGauge,
}

/// Registers the metrics of the nodes that `source` tells.
pub(crate) fn show_nodes(
    registry: &Registry,
    source: impl Fn() -> Option<Known> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    registry.register(Box::new(NodesMetrics::new(Box::new(source))?))
}

impl NodesMetrics {
    fn new(source: Source) -> prometheus::Result<Self> {
        let shown = Shown::new()?;
        Ok(Self {
            source,
            descriptions: shown.collectors().flat_map(Collector::desc).cloned().collect(),
            shown: Mutex::new(shown),
        })
    }
}

impl Shown {
    fn new() -> prometheus::Result<Self> {
        let gauge =
            |(name, help, read): (&str, &str, Read)| Ok((IntGaugeVec::new(Opts::new(name, help), &["node"])?, read));
        let counter =
            |(name, help, read): (&str, &str, Read)| Ok((IntCounterVec::new(Opts::new(name, help), &["node"])?, read));
        Ok(Self {
            up: IntGaugeVec::new(
                Opts::new(
                    "wsmesh_redis_up",
                    "1 if the node answered the last question of this admin.",
                ),
                &["node"],
            )?,
            gauges: GAUGES.into_iter().map(gauge).collect::<prometheus::Result<_>>()?,
            counters: COUNTERS.into_iter().map(counter).collect::<prometheus::Result<_>>()?,
            bytes: IntCounterVec::new(
                Opts::new(
                    "wsmesh_redis_bytes_total",
                    "Bytes that the node has read (in) and written (out).",
                ),
                &["node", "direction"],
            )?,
            slow_commands: IntCounterVec::new(
                Opts::new(
                    "wsmesh_redis_slow_commands_total",
                    "Commands that came into the slow log of the node, as this admin counts them: also over its restarts, and when the log is \
                     emptied.",
                ),
                &["node"],
            )?,
            wanted: IntGaugeVec::new(
                Opts::new(
                    "wsmesh_nodes_wanted",
                    "Nodes that there should be: the replicas of the StatefulSet, or else those that are in use.",
                ),
                &[],
            )?,
            not_joined: IntGauge::new(
                "wsmesh_nodes_not_joined",
                "Redis pods that should be nodes and are not.",
            )?,
        })
    }

    fn collectors(&self) -> impl Iterator<Item = &dyn Collector> {
        let gauges = self.gauges.iter().map(|(gauge, _)| gauge as &dyn Collector);
        let counters = self.counters.iter().map(|(counter, _)| counter as &dyn Collector);
        let rest: [&dyn Collector; 5] = [
            &self.up,
            &self.bytes,
            &self.slow_commands,
            &self.wanted,
            &self.not_joined,
        ];
        gauges.chain(counters).chain(rest)
    }

    fn show(&self, known: &Known) {
        self.up.reset();
        self.bytes.reset();
        self.slow_commands.reset();
        self.gauges.iter().for_each(|(gauge, _)| gauge.reset());
        self.counters.iter().for_each(|(counter, _)| counter.reset());
        for (id, said) in &known.facts.of_nodes {
            self.up
                .with_label_values(&[id.as_str()])
                .set(i64::from(said.facts.is_ok()));
            if let Ok(facts) = &said.facts {
                self.show_node(id, facts);
            }
            if let Some(slow) = said.slow_commands {
                self.slow_commands.with_label_values(&[id.as_str()]).inc_by(slow);
            }
        }
        let (wanted, not_joined) = wanted(&known.nodes);
        self.wanted.reset();
        if let Some(wanted) = wanted {
            self.wanted.with_label_values(NO_LABELS).set(wanted);
        }
        self.not_joined.set(not_joined);
    }

    /// What the node did not say has no series.
    fn show_node(&self, id: &NodeId, facts: &NodeFacts) {
        let id = id.as_str();
        for (gauge, read) in &self.gauges {
            if let Some(value) = read(facts) {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                gauge.with_label_values(&[id]).set(value);
            }
        }
        for (counter, read) in &self.counters {
            if let Some(value) = read(facts) {
                counter.with_label_values(&[id]).inc_by(value);
            }
        }
        for (direction, bytes) in [("in", facts.bytes_in), ("out", facts.bytes_out)] {
            if let Some(bytes) = bytes {
                self.bytes.with_label_values(&[id, direction]).inc_by(bytes);
            }
        }
    }
}

/// How many nodes there should be, if that is known, and how many of them are missing.
fn wanted(view: &NodesView) -> (Option<i64>, i64) {
    let Some(membership) = &view.membership else {
        let is_used = |state| matches!(state, Some(NodeState::Active | NodeState::Joining));
        let used = view.nodes.iter().filter(|node| is_used(node.state)).count();
        return (Some(used as i64), 0);
    };
    let missing = membership
        .differences
        .iter()
        .filter(|node| node.lack != Lack::Leaving)
        .count();
    (membership.replicas.map(i64::from), missing as i64)
}

impl Collector for NodesMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(known) = (self.source)() else {
            return Vec::new();
        };
        let shown = self.shown.lock();
        shown.show(&known);
        shown.collectors().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for NodesMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodesMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
