//! Latencies in a histogram: three significant digits, from a nanosecond to a minute.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const LONGEST_NS: u64 = 60_000_000_000;

/// Collects the latencies of one thread; those of all threads are added up at the end.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // These bounds are valid, whatever the input.
        #[expect(clippy::expect_used, reason = "constants, checked by every test")]
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid bounds"))
    }
}

impl Latencies {
    /// Adds one latency, in ns; more than a minute counts as a minute.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds: adding cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// The summary; `None` if nothing was measured.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        let histogram = &self.0;
        let us = |ns: u64| (ns as f64) / 1e3;
        let at = |quantile| us(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| LatencySummary {
            count: histogram.len(),
            min_us: us(histogram.min()),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(histogram.max()),
        })
    }
}

/// Latencies in µs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names of quantiles say what they are")]
pub struct LatencySummary {
    pub count: u64,
    pub min_us: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_three_digits_and_collections_add_up() {
        let (mut first, mut second) = (Latencies::default(), Latencies::default());
        (1..=500).for_each(|us| first.record(us * 1_000));
        (501..=1_000).for_each(|us| second.record(us * 1_000));
        first.add(&second);
        let summary = first.summary().expect("measured");
        assert_eq!(summary.count, 1_000);
        assert!((summary.p50_us - 500.0).abs() < 1.0 && (summary.p99_us - 990.0).abs() < 2.0);
        assert_eq!(Latencies::default().summary(), None);
    }

    #[test]
    fn latencies_above_a_minute_count_as_a_minute() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert!(latencies.summary().expect("measured").max_us >= 60e6);
    }
}
