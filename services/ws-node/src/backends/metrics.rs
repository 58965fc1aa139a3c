//! Metrics of the calls to backends. The label `backend` is from the configuration: a rule's event, or what else calls.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct BackendMetrics {
    pub(super) requests: IntCounterVec,
}

impl BackendMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: register_int_counter_vec_with_registry!(
                "wsmesh_backend_requests_total",
                "Calls to backends, by result.",
                &["backend", "result"],
                registry
            )?,
        })
    }
}
