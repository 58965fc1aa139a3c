//! Every metric of this service, in one list.

use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, register_histogram_vec_with_registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry, register_int_gauge_vec_with_registry,
};

use crate::rules::matches::EndReason;

/// Every metric of game-logic by name, without those of its adapter.
pub const METRIC_NAMES: &[&str] = &[
    "wsmesh_match_wait_seconds",
    "wsmesh_matches",
    "wsmesh_matches_adopted_total",
    "wsmesh_matches_ended_total",
    "wsmesh_queue_length",
    "wsmesh_tick_seconds",
    "wsmesh_tickets_handed_over_total",
];

/// Handles of the metrics; cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// `wsmesh_matches{state}`: matches being formed or running here.
    pub matches: IntGaugeVec,
    /// `wsmesh_queue_length{mode}`: tickets here, those being matched included.
    pub queue_length: IntGaugeVec,
    /// `wsmesh_match_wait_seconds{mode}`: from a player's request to its match.
    pub match_wait: HistogramVec,
    /// `wsmesh_tick_seconds`: what one tick of one match takes, without sending.
    pub tick: Histogram,
    /// `wsmesh_matches_adopted_total{result}`: what came of requests to run a match.
    pub adopted: IntCounterVec,
    /// `wsmesh_matches_ended_total{reason}`: matches that ran here, by the reason that was sent to their players.
    pub ended: IntCounterVec,
    /// `wsmesh_tickets_handed_over_total{result}`: tickets offered to the new owner of their queue.
    pub handed_over: IntCounterVec,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// When the registry has one of them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let waits = vec![0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];
        let ticks = vec![0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05];
        let metrics = Self {
            matches: register_int_gauge_vec_with_registry!(
                "wsmesh_matches",
                "Matches being formed or running here.",
                &["state"],
                registry
            )?,
            queue_length: register_int_gauge_vec_with_registry!(
                "wsmesh_queue_length",
                "Tickets here, those being matched included.",
                &["mode"],
                registry
            )?,
            match_wait: register_histogram_vec_with_registry!(
                "wsmesh_match_wait_seconds",
                "From a player's request to its match.",
                &["mode"],
                waits,
                registry
            )?,
            tick: register_histogram_with_registry!(
                "wsmesh_tick_seconds",
                "What one tick of one match takes, without sending.",
                ticks,
                registry
            )?,
            adopted: register_int_counter_vec_with_registry!(
                "wsmesh_matches_adopted_total",
                "What came of requests to run a match.",
                &["result"],
                registry
            )?,
            ended: register_int_counter_vec_with_registry!(
                "wsmesh_matches_ended_total",
                "Matches that ran here, by why they ended.",
                &["reason"],
                registry
            )?,
            handed_over: register_int_counter_vec_with_registry!(
                "wsmesh_tickets_handed_over_total",
                "Tickets offered to the new owner of their queue.",
                &["result"],
                registry
            )?,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// A rate needs a series that was there before.
    fn begin(&self) {
        for result in ["started", "refused", "abandoned"] {
            self.adopted.with_label_values(&[result]);
        }
        for result in ["taken", "kept"] {
            self.handed_over.with_label_values(&[result]);
        }
        for reason in EndReason::ALL {
            self.ended.with_label_values(&[reason.as_str()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_whose_labels_are_known_at_the_start_is_there_before_anything_happens() {
        let registry = Registry::new();
        Metrics::register(&registry).expect("registered");
        let families = registry.gather();
        let series = |name| {
            let family = families.iter().find(|family| family.name() == name);
            family.map_or(0, |family| family.get_metric().len())
        };
        assert_eq!(series("wsmesh_matches_ended_total"), EndReason::ALL.len());
        assert_eq!(series("wsmesh_matches_adopted_total"), 3);
        assert_eq!(series("wsmesh_tickets_handed_over_total"), 2);
    }
}
