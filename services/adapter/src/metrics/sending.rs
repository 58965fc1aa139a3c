//! What is counted of messages on their way out.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Registry, register_int_counter_vec_with_registry as counters,
    register_int_counter_with_registry as counter, register_int_gauge_with_registry as int_gauge,
};

use super::times::seconds;
use crate::exemplars::{self, TracedHistogramVec};

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
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
