//! The adapter's metrics: the one list of their names. Labels are bounded: node ids, topic kinds, results, services.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    exponential_buckets, histogram_opts, register_gauge_vec_with_registry as gauges,
    register_gauge_with_registry as gauge, register_histogram_with_registry as histogram,
    register_int_counter_vec_with_registry as counters, register_int_counter_with_registry as counter,
    register_int_gauge_vec_with_registry as int_gauges, register_int_gauge_with_registry as int_gauge,
};

use crate::exemplars::{self, TracedHistogram, TracedHistogramVec};
use crate::nodes::NodeStatus;

/// Everything that the adapter counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    pub(crate) requests: RequestMetrics,
    pub(crate) nodes: NodeMetrics,
    pub(crate) cluster: ClusterMetrics,
    /// Spans of time for which the promise did not hold.
    pub(crate) lapses: IntCounterVec,
}

impl Metrics {
    /// Creates and registers all metrics.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            sending: Sending::new(registry)?,
            receiving: Receiving::new(registry)?,
            requests: RequestMetrics::new(registry)?,
            nodes: NodeMetrics::new(registry)?,
            cluster: ClusterMetrics::new(registry)?,
            lapses: counters!(
                "wsmesh_lapses_total",
                "Spans of time for which the promise did not hold.",
                &["reason"],
                registry
            )?,
        })
    }
}

/// The first of [`TIME_BUCKETS`] upper bounds of times, in seconds; each further one is twice as long, up to about 3 s.
pub(crate) const SHORTEST_TIME: f64 = 0.000_05;
/// How many upper bounds times are counted by.
pub(crate) const TIME_BUCKETS: usize = 17;

fn seconds(name: &str, help: &str) -> prometheus::Result<HistogramOpts> {
    let bounds = exponential_buckets(SHORTEST_TIME, 2.0, TIME_BUCKETS)?;
    Ok(histogram_opts!(name, help, bounds))
}

/// Messages on their way out.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) publish: IntCounterVec,
    pub(crate) publish_bytes: IntCounter,
    pub(crate) publish_seconds: TracedHistogramVec,
    pub(crate) rerouted: IntCounterVec,
    pub(crate) unsent: IntCounterVec,
    pub(crate) messages_waiting: IntGauge,
    pub(crate) replayed: IntCounterVec,
    pub(crate) copies_waiting: IntGauge,
    pub(crate) evicted: IntCounter,
}

impl Sending {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            publish: counters!(
                "wsmesh_publish_total",
                "Messages published, by result.",
                &["node", "result"],
                registry
            )?,
            publish_bytes: counter!(
                "wsmesh_publish_bytes_total",
                "Bytes of messages that nodes took.",
                registry
            )?,
            publish_seconds: exemplars::histograms(
                seconds("wsmesh_publish_duration_seconds", "Time of one PUBLISH.")?,
                &["node"],
                registry,
            )?,
            rerouted: counters!(
                "wsmesh_publish_rerouted_total",
                "Messages that did not take the first choice: rejected by a node (refused), or sent through several nodes (cover).",
                &["reason"],
                registry
            )?,
            unsent: counters!(
                "wsmesh_unsent_total",
                "Messages that no node took: rejected because they are too large (too-large), because none was heard for longer \
                 than the replay window (isolated) or too much waited (no-room), or given up after waiting (expired).",
                &["reason"],
                registry
            )?,
            messages_waiting: int_gauge!(
                "wsmesh_messages_waiting",
                "Messages that wait for a node to be heard.",
                registry
            )?,
            replayed: counters!(
                "wsmesh_replayed_total",
                "Copies published again, by result.",
                &["result"],
                registry
            )?,
            copies_waiting: int_gauge!(
                "wsmesh_copies_waiting",
                "Copies that wait to be published again.",
                registry
            )?,
            evicted: counter!(
                "wsmesh_replay_evictions_total",
                "Messages for which older ones had to leave the replay window before their time.",
                registry
            )?,
        })
    }
}

/// Messages on their way in.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) receive: IntCounterVec,
    pub(crate) receive_bytes: IntCounter,
    pub(crate) lag_seconds: TracedHistogramVec,
    pub(crate) fanout_seconds: Histogram,
    pub(crate) duplicates: IntCounter,
    pub(crate) old: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) events_refused: IntCounter,
}

impl Receiving {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            receive: counters!("wsmesh_receive_total", "Messages received.", &["node"], registry)?,
            receive_bytes: counter!("wsmesh_receive_bytes_total", "Bytes of messages received.", registry)?,
            lag_seconds: exemplars::histograms(
                seconds("wsmesh_lag_seconds", "From publishing to receiving.")?,
                &["node"],
                registry,
            )?,
            fanout_seconds: histogram!(
                seconds(
                    "wsmesh_fanout_duration_seconds",
                    "Handing one message to local clients."
                )?,
                registry
            )?,
            duplicates: counter!(
                "wsmesh_duplicates_dropped_total",
                "Second copies that were dropped.",
                registry
            )?,
            old: counter!(
                "wsmesh_old_copies_dropped_total",
                "Copies below their sender's mark that were dropped.",
                registry
            )?,
            malformed: counter!("wsmesh_malformed_total", "Messages that could not be read.", registry)?,
            events_refused: counter!(
                "wsmesh_events_refused_total",
                "Events rejected because a listener is full.",
                registry
            )?,
        })
    }
}

/// Requests between servers.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    pub(crate) results: IntCounterVec,
    pub(crate) seconds: TracedHistogram,
    pub(crate) repeated: IntCounterVec,
    pub(crate) evicted: IntCounter,
}

impl RequestMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            results: counters!(
                "wsmesh_requests_total",
                "Requests between servers: the result for each server asked (out), and for each request answered here (in). \
                 Those whose sender gave up before they were handled or answered are abandoned.",
                &["direction", "result"],
                registry
            )?,
            seconds: exemplars::histogram(
                seconds("wsmesh_request_duration_seconds", "From a request to its last reply.")?,
                registry,
            )?,
            repeated: counters!(
                "wsmesh_repeated_requests_total",
                "Requests whose idempotency key was known: those that waited for the answer of the first one (waited), got its \
                 stored answer (answered), or were another request (conflict).",
                &["result"],
                registry
            )?,
            evicted: counter!(
                "wsmesh_idempotency_evictions_total",
                "Answers to requests with an idempotency key that had to be forgotten before their time.",
                registry
            )?,
        })
    }
}

/// The nodes, as this server hears them.
#[derive(Debug)]
pub(crate) struct NodeMetrics {
    up: IntGaugeVec,
    ping: GaugeVec,
    gaps: IntCounterVec,
    reconnects: IntCounterVec,
    pub(crate) agreed: IntGauge,
    pub(crate) by_state: IntGaugeVec,
    pub(crate) changes: IntCounterVec,
}

impl NodeMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            up: int_gauges!(
                "wsmesh_node_up",
                "1 while this server hears the node.",
                &["node"],
                registry
            )?,
            ping: gauges!(
                "wsmesh_node_ping_seconds",
                "Last round trip of a probe.",
                &["node"],
                registry
            )?,
            gaps: counters!(
                "wsmesh_node_gaps_total",
                "Interruptions of hearing: connections for subscribing that ended, and probes that were missing.",
                &["node"],
                registry
            )?,
            reconnects: counters!(
                "wsmesh_node_reconnects_total",
                "Connections opened again.",
                &["node"],
                registry
            )?,
            agreed: int_gauge!(
                "wsmesh_topology_agreed",
                "1 while all live servers report the same map of nodes.",
                registry
            )?,
            by_state: int_gauges!("wsmesh_topology_nodes", "Nodes of the topology.", &["state"], registry)?,
            changes: counters!(
                "wsmesh_topology_changes_total",
                "Changes of the topology that this server followed.",
                &["trigger", "result"],
                registry
            )?,
        })
    }

    /// Shows a node's status.
    pub(crate) fn set(&self, status: &NodeStatus) {
        let labels = [status.id.as_str()];
        self.up.with_label_values(&labels).set(i64::from(status.heard));
        let ping = status.rtt_ms.unwrap_or(0.0) / 1000.0;
        self.ping.with_label_values(&labels).set(ping);
        raise(&self.gaps.with_label_values(&labels), status.gaps);
        raise(&self.reconnects.with_label_values(&labels), status.reconnects);
    }

    /// Removes the metrics of a node that is not used any more.
    pub(crate) fn forget(&self, id: &str) {
        // Each fails if there is none, which is fine.
        let _ = self.up.remove_label_values(&[id]);
        let _ = self.ping.remove_label_values(&[id]);
        let _ = self.gaps.remove_label_values(&[id]);
        let _ = self.reconnects.remove_label_values(&[id]);
    }
}

/// Raises a counter to a total that is counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// The servers, and what this one holds.
#[derive(Debug)]
pub(crate) struct ClusterMetrics {
    servers: IntGaugeVec,
    /// Every service that was ever seen, with its count now.
    services: Mutex<BTreeMap<String, i64>>,
    pub(crate) rooms: Gauge,
    pub(crate) topics: Gauge,
}

impl ClusterMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            servers: int_gauges!(
                "wsmesh_servers",
                "Live servers, as this one sees them.",
                &["service"],
                registry
            )?,
            services: Mutex::default(),
            rooms: gauge!("wsmesh_rooms", "Rooms with a local member.", registry)?,
            topics: gauge!("wsmesh_topics", "Channels that this server is subscribed to.", registry)?,
        })
    }

    /// Sets how many servers of each service there are; services that have none any more go to 0.
    pub(crate) fn count_servers<'a>(&self, services: impl Iterator<Item = &'a str>) {
        let mut counts = self.services.lock();
        counts.values_mut().for_each(|count| *count = 0);
        for service in services {
            match counts.get_mut(service) {
                Some(count) => *count += 1,
                None => _ = counts.insert(service.to_owned(), 1),
            }
        }
        for (service, count) in counts.iter() {
            self.servers.with_label_values(&[service.as_str()]).set(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::MetricType;

    use super::*;
    use crate::wire::NodeId;

    fn status(gaps: u64) -> NodeStatus {
        NodeStatus {
            id: NodeId::new("redis-0").expect("valid"),
            address: String::new(),
            heard: true,
            rtt_ms: None,
            error: None,
            reconnects: 0,
            gaps,
        }
    }

    #[test]
    fn metrics_named_total_are_counters_that_follow_the_status_of_their_node() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).expect("registered");
        metrics.nodes.set(&status(2));
        metrics.nodes.set(&status(5));
        let families = registry.gather();
        let totals = families.iter().filter(|family| family.name().ends_with("_total"));
        for family in totals {
            assert_eq!(family.get_field_type(), MetricType::COUNTER, "{}", family.name());
        }
        let gaps = families
            .iter()
            .find(|family| family.name() == "wsmesh_node_gaps_total")
            .expect("it is registered");
        assert_eq!(gaps.get_metric()[0].get_counter().get_value(), 5.0);
    }

    #[test]
    fn a_node_that_is_added_again_begins_at_zero() {
        let metrics = Metrics::new(&Registry::new()).expect("registered");
        metrics.nodes.set(&status(2));
        metrics.nodes.forget("redis-0");
        metrics.nodes.set(&status(1));
        assert_eq!(metrics.nodes.gaps.with_label_values(&["redis-0"]).get(), 1);
    }
}
