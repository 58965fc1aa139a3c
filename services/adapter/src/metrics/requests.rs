//! What is counted of requests between servers.

use prometheus::{
    IntCounter, IntCounterVec, Registry, register_int_counter_vec_with_registry as counters,
    register_int_counter_with_registry as counter,
};

use super::times::seconds;
use crate::exemplars::{self, TracedHistogram};

/// Requests between servers.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    pub(crate) results: IntCounterVec,
    pub(crate) seconds: TracedHistogram,
    pub(crate) repeated: IntCounterVec,
    pub(crate) evicted: IntCounter,
}

impl RequestMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
