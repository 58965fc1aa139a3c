//! Metrics of lifecycle events. The label `watch` is the number of the table in the configuration file, from 1.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry,
};

/// Why an event was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too many waited.
    Full,
    /// It could not be told for as long as it was to be kept.
    TooOld,
    /// The consumer refused it, or it cannot be sent.
    Refused,
    /// This server ended.
    Ended,
}

/// Handles of the metrics of all watches; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct LifecycleMetrics {
    waiting: IntGaugeVec,
    sent: IntCounterVec,
    repeated: IntCounterVec,
    dropped: IntCounterVec,
}

/// Handles of the metrics of one watch.
#[derive(Debug, Clone)]
pub(super) struct WatchMetrics {
    /// Events that wait or are being sent.
    pub(super) waiting: IntGauge,
    pub(super) sent: IntCounter,
    pub(super) repeated: IntCounter,
    full: IntCounter,
    too_old: IntCounter,
    refused: IntCounter,
    ended: IntCounter,
}

impl LifecycleMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let watch = &["watch"];
        Ok(Self {
            waiting: register_int_gauge_vec_with_registry!(
                "wsmesh_lifecycle_events_waiting",
                "Lifecycle events that wait for a watch, or are being sent.",
                watch,
                registry
            )?,
            sent: register_int_counter_vec_with_registry!(
                "wsmesh_lifecycle_events_sent_total",
                "Lifecycle events that a watch was told.",
                watch,
                registry
            )?,
            repeated: register_int_counter_vec_with_registry!(
                "wsmesh_lifecycle_events_repeated_total",
                "Lifecycle events that were sent again, because it was not known whether the watch had them.",
                watch,
                registry
            )?,
            dropped: register_int_counter_vec_with_registry!(
                "wsmesh_lifecycle_events_dropped_total",
                "Lifecycle events that a watch was not told, by reason.",
                &["watch", "reason"],
                registry
            )?,
        })
    }

    /// The metrics of one watch.
    pub(super) fn of(&self, number: usize) -> WatchMetrics {
        let watch = &[number.to_string()];
        let dropped = |reason: &str| self.dropped.with_label_values(&[&*watch[0], reason]);
        WatchMetrics {
            waiting: self.waiting.with_label_values(watch),
            sent: self.sent.with_label_values(watch),
            repeated: self.repeated.with_label_values(watch),
            full: dropped("full"),
            too_old: dropped("too_old"),
            refused: dropped("refused"),
            ended: dropped("ended"),
        }
    }
}

impl WatchMetrics {
    /// Events were dropped.
    pub(super) fn dropped(&self, why: Dropped, events: u64) {
        match why {
            Dropped::Full => &self.full,
            Dropped::TooOld => &self.too_old,
            Dropped::Refused => &self.refused,
            Dropped::Ended => &self.ended,
        }
        .inc_by(events);
    }
}
