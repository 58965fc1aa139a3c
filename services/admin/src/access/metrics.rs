//! Metrics of callers that are not let in, and of the files with tokens.

use prometheus::{
    IntCounterVec, IntGauge, Registry, register_int_counter_vec_with_registry, register_int_gauge_with_registry,
};

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct AccessMetrics {
    failures: IntCounterVec,
    /// How many files with tokens are wrong, so that the tokens before their last change are in force.
    pub(super) stale_files: IntGauge,
}

impl AccessMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            failures: register_int_counter_vec_with_registry!(
                "wsmesh_auth_failures_total",
                "Requests to the admin API without a token that counts, by reason.",
                &["reason"],
                registry
            )?,
            stale_files: register_int_gauge_with_registry!(
                "wsmesh_token_files_wrong",
                "Files with tokens that are wrong since their last change; the tokens before it are in force.",
                registry
            )?,
        };
        for reason in ["no_token", "slowed_down"] {
            // A rate needs a series that was there before.
            metrics.failures.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    /// A request was not let in; `reason` is from a bounded set.
    pub(super) fn failed(&self, reason: &str) {
        self.failures.with_label_values(&[reason]).inc();
    }
}
