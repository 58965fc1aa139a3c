//! Metrics of the connect hook. How long it takes is with the metrics of all backends.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client may connect.
    Allowed,
    /// The hook said 401 or 403.
    Refused,
    /// The hook cannot be reached, or answered with another status.
    Failed,
    /// The hook did not answer in time.
    TimedOut,
    /// Too many questions waited.
    Overloaded,
    /// The answer cannot be used.
    Unusable,
}

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct HookMetrics(IntCounterVec);

impl HookMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let questions = register_int_counter_vec_with_registry!(
            "wsmesh_connect_hook_total",
            "Upgrades that the connect hook was asked about, by result.",
            &["result"],
            registry
        )?;
        Ok(Self(questions))
    }

    pub(super) fn count(&self, outcome: Outcome) {
        let result = match outcome {
            Outcome::Allowed => "allowed",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Overloaded => "overloaded",
            Outcome::Unusable => "unusable",
        };
        self.0.with_label_values(&[result]).inc();
    }
}
