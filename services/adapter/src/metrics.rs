//! The adapter's metrics: the one list of their names. Labels are bounded: node ids, topic kinds, results, services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

/// Everything that the adapter counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) publish: IntCounterVec,
    pub(crate) publish_seconds: HistogramVec,
    pub(crate) rerouted: IntCounterVec,
    pub(crate) replayed: IntCounterVec,
    pub(crate) copies_waiting: IntGauge,
    pub(crate) messages_waiting: IntGauge,
    pub(crate) unsent: IntCounterVec,
    pub(crate) evicted: IntCounter,
    pub(crate) lapses: IntCounterVec,
    pub(crate) topology_agreed: IntGauge,
    pub(crate) topology_nodes: IntGaugeVec,
    pub(crate) topology_changes: IntCounterVec,
    pub(crate) old: IntCounter,
    pub(crate) receive: IntCounterVec,
    pub(crate) lag_seconds: HistogramVec,
    pub(crate) fanout_seconds: Histogram,
    pub(crate) duplicates: IntCounter,
    pub(crate) malformed: IntCounter,
    pub(crate) events_refused: IntCounter,
    pub(crate) node_up: IntGaugeVec,
    pub(crate) node_ping: GaugeVec,
    pub(crate) node_gaps: IntGaugeVec,
    pub(crate) node_reconnects: IntGaugeVec,
    servers: IntGaugeVec,
    /// Every service that was ever seen, with its count now.
    services: Arc<Mutex<BTreeMap<String, i64>>>,
    pub(crate) rooms: Gauge,
    pub(crate) topics: Gauge,
    pub(crate) requests: IntCounterVec,
    pub(crate) request_seconds: Histogram,
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Gauge> {
    let metric = Gauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// 50 µs to about 3 s, doubling.
fn seconds(name: &str, help: &str) -> prometheus::Result<HistogramOpts> {
    Ok(HistogramOpts::new(name, help).buckets(exponential_buckets(0.000_05, 2.0, 17)?))
}

fn histogram(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Histogram> {
    let metric = Histogram::with_opts(seconds(name, help)?)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
    let metric = HistogramVec::new(seconds(name, help)?, labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// A node is no more: its gauges say nothing any longer.
    pub(crate) fn forget_node(&self, id: &str) {
        // Fails when there is none, which is what is wanted.
        let _ = self.node_up.remove_label_values(&[id]);
        let _ = self.node_ping.remove_label_values(&[id]);
        let _ = self.node_gaps.remove_label_values(&[id]);
        let _ = self.node_reconnects.remove_label_values(&[id]);
    }

    /// Sets how many servers of each service there are; services that have none any more go to 0.
    pub(crate) fn count_servers<'a>(&self, services: impl Iterator<Item = &'a str>) {
        let mut counts = self.services.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Makes and registers them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let r = registry;
        let node_ping = GaugeVec::new(
            Opts::new("wsmesh_node_ping_seconds", "Last round trip of a probe."),
            &["node"],
        )?;
        r.register(Box::new(node_ping.clone()))?;
        Ok(Self {
            publish: counters(
                r,
                "wsmesh_publish_total",
                "Messages published, by result.",
                &["node", "result"],
            )?,
            publish_seconds: histograms(r, "wsmesh_publish_duration_seconds", "Time of one PUBLISH.", &["node"])?,
            rerouted: counters(
                r,
                "wsmesh_publish_rerouted_total",
                "Messages that did not take the first choice: refused by a node, or covered by several.",
                &["reason"],
            )?,
            receive: counters(r, "wsmesh_receive_total", "Messages received.", &["node"])?,
            lag_seconds: histograms(r, "wsmesh_lag_seconds", "From publishing to receiving.", &["node"])?,
            fanout_seconds: histogram(
                r,
                "wsmesh_fanout_duration_seconds",
                "Handing one message to local clients.",
            )?,
            replayed: counters(
                r,
                "wsmesh_replayed_total",
                "Copies published again, by result.",
                &["result"],
            )?,
            copies_waiting: int_gauge(r, "wsmesh_copies_waiting", "Copies that wait to be published again.")?,
            messages_waiting: int_gauge(
                r,
                "wsmesh_messages_waiting",
                "Messages that wait for a node to be heard.",
            )?,
            unsent: counters(
                r,
                "wsmesh_unsent_total",
                "Messages that no node took: refused because they are too large (too-large), because none was heard for longer than \
                 the replay window (isolated) or too much waited (no-room), or given up after waiting (expired).",
                &["reason"],
            )?,
            evicted: counter(
                r,
                "wsmesh_replay_evictions_total",
                "Messages for which older ones had to leave the replay window before their time.",
            )?,
            lapses: counters(
                r,
                "wsmesh_lapses_total",
                "Spans of time for which the promise did not hold.",
                &["reason"],
            )?,
            topology_agreed: int_gauge(
                r,
                "wsmesh_topology_agreed",
                "1 while all live servers report the same map of nodes.",
            )?,
            topology_nodes: int_gauges(r, "wsmesh_topology_nodes", "Nodes of the topology.", &["state"])?,
            topology_changes: counters(
                r,
                "wsmesh_topology_changes_total",
                "Changes of the topology that this server followed.",
                &["trigger", "result"],
            )?,
            old: counter(
                r,
                "wsmesh_old_copies_dropped_total",
                "Copies below their sender's mark that were dropped.",
            )?,
            duplicates: counter(r, "wsmesh_duplicates_dropped_total", "Second copies that were dropped.")?,
            malformed: counter(r, "wsmesh_malformed_total", "Messages that could not be read.")?,
            events_refused: counter(
                r,
                "wsmesh_events_refused_total",
                "Events refused because a listener is full.",
            )?,
            node_up: int_gauges(r, "wsmesh_node_up", "1 while this server hears the node.", &["node"])?,
            node_ping,
            node_gaps: int_gauges(r, "wsmesh_node_gaps_total", "Interruptions of hearing.", &["node"])?,
            node_reconnects: int_gauges(
                r,
                "wsmesh_node_reconnects_total",
                "Connections opened again.",
                &["node"],
            )?,
            services: Arc::default(),
            servers: int_gauges(
                r,
                "wsmesh_servers",
                "Live servers, as this one sees them.",
                &["service"],
            )?,
            rooms: gauge(r, "wsmesh_rooms", "Rooms with a local member.")?,
            topics: gauge(r, "wsmesh_topics", "Channels that this server is subscribed to.")?,
            requests: counters(
                r,
                "wsmesh_requests_total",
                "Requests between servers: what came of each server asked (out), and of each asked of us (in).",
                &["direction", "result"],
            )?,
            request_seconds: histogram(
                r,
                "wsmesh_request_duration_seconds",
                "From a request to its last reply.",
            )?,
        })
    }
}
