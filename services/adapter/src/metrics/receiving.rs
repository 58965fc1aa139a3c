//! What is counted of messages on their way in.

use prometheus::{
    Histogram, IntCounter, IntCounterVec, Registry, register_histogram_with_registry as histogram,
    register_int_counter_vec_with_registry as counters, register_int_counter_with_registry as counter,
};

use super::times::seconds;
use crate::exemplars::{self, TracedHistogramVec};

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
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
