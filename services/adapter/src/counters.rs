//! What a server has counted since its start, read from its metrics: nothing is counted twice.

use prometheus::core::Collector;
use serde::{Deserialize, Serialize};

use crate::metrics::{Metrics, SHORTEST_TIME, TIME_BUCKETS};

/// The length of [`Counters::lag`]: one for each upper bound, and one for all that is longer.
pub const LAG_BUCKETS: usize = TIME_BUCKETS + 1;

/// Totals since the start of an instance. They only grow: rates are differences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Messages that a node took, copies included.
    pub published: u64,
    /// Their bytes.
    pub published_bytes: u64,
    /// Messages read from nodes, beacons and probes included.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// How long messages took from publishing to receiving, by the clocks of both servers: how many took at most
    /// [`Counters::lag_bound_ms`] of their place, and more than that of the place before. The last place is for all others.
    pub lag: Vec<u64>,
}

impl Counters {
    /// The longest time that is counted in this place of [`Counters::lag`], in milliseconds; none in the last place.
    pub fn lag_bound_ms(place: usize) -> Option<f64> {
        (place < TIME_BUCKETS).then(|| SHORTEST_TIME * 1000.0 * (1_u64 << place) as f64)
    }

    pub(crate) fn read(metrics: &Metrics) -> Self {
        Self {
            published: sum_of_ok(&metrics.sending.publish),
            published_bytes: metrics.sending.publish_bytes.get(),
            received: sum(&metrics.receiving.receive),
            received_bytes: metrics.receiving.receive_bytes.get(),
            lag: lag(&metrics.receiving.lag_seconds),
        }
    }
}

fn sum(counters: &impl Collector) -> u64 {
    let families = counters.collect();
    let counts = families.iter().flat_map(|family| family.get_metric());
    counts.map(|metric| metric.get_counter().get_value() as u64).sum()
}

fn sum_of_ok(counters: &impl Collector) -> u64 {
    let families = counters.collect();
    let counts = families.iter().flat_map(|family| family.get_metric());
    let ok = counts.filter(|metric| metric.get_label().iter().any(|label| label.value() == "ok"));
    ok.map(|metric| metric.get_counter().get_value() as u64).sum()
}

fn lag(histograms: &impl Collector) -> Vec<u64> {
    let mut lag = vec![0; LAG_BUCKETS];
    for metric in histograms.collect().iter().flat_map(|family| family.get_metric()) {
        let histogram = metric.get_histogram();
        let mut below = 0;
        for (place, bucket) in histogram.get_bucket().iter().enumerate().take(TIME_BUCKETS) {
            lag[place] += bucket.cumulative_count() - below;
            below = bucket.cumulative_count();
        }
        lag[TIME_BUCKETS] += histogram.get_sample_count() - below;
    }
    lag
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&Registry::new()).expect("registered")
    }

    #[test]
    fn messages_are_added_up_over_the_nodes_and_rejected_ones_are_left_out() {
        let metrics = metrics();
        for (node, result, count) in [("redis-1", "ok", 3), ("redis-2", "ok", 4), ("redis-2", "error", 50)] {
            metrics.sending.publish.with_label_values(&[node, result]).inc_by(count);
        }
        metrics.receiving.receive.with_label_values(&["redis-1"]).inc_by(5);
        metrics.receiving.receive.with_label_values(&["redis-2"]).inc_by(6);
        let counters = Counters::read(&metrics);
        assert_eq!((counters.published, counters.received), (7, 11));
    }

    #[test]
    fn each_lag_is_counted_in_the_place_whose_bound_it_does_not_exceed() {
        let metrics = metrics();
        for (node, ms) in [
            ("redis-1", 0.01),
            ("redis-1", 0.07),
            ("redis-2", 0.08),
            ("redis-2", 60_000.0),
        ] {
            let lag = metrics.receiving.lag_seconds.with_label_values(&[node]);
            lag.observe(ms / 1000.0);
        }
        let lag = Counters::read(&metrics).lag;
        assert_eq!(
            (lag.len(), lag[0], lag[1], lag[LAG_BUCKETS - 1]),
            (LAG_BUCKETS, 1, 2, 1)
        );
        assert_eq!(lag.iter().sum::<u64>(), 4);
        assert_eq!(Counters::lag_bound_ms(1), Some(0.1));
        assert_eq!(Counters::lag_bound_ms(LAG_BUCKETS - 1), None);
    }
}
