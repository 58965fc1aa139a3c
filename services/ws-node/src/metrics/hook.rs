//! Metrics of the connect hook. How long it takes is with the metrics of all backends.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookOutcome {
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
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let questions = register_int_counter_vec_with_registry!(
            "wsmesh_connect_hook_total",
            "Upgrades that the connect hook was asked about, by result.",
            &["result"],
            registry
        )?;
        // A rate needs a series that was there before.
        for result in ["allowed", "refused", "failed", "timed_out", "overloaded", "unusable"] {
            questions.with_label_values(&[result]);
        }
        Ok(Self(questions))
    }

    /// A question has this result.
    pub(crate) fn count(&self, outcome: HookOutcome) {
        let result = match outcome {
            HookOutcome::Allowed => "allowed",
            HookOutcome::Refused => "refused",
            HookOutcome::Failed => "failed",
            HookOutcome::TimedOut => "timed_out",
            HookOutcome::Overloaded => "overloaded",
            HookOutcome::Unusable => "unusable",
        };
        self.0.with_label_values(&[result]).inc();
    }
}
