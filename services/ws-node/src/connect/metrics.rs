//! Metrics of the connect hook.

use std::time::Duration;

use prometheus::{
    Histogram, IntCounterVec, Registry, register_histogram_with_registry, register_int_counter_vec_with_registry,
};

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
pub(crate) struct HookMetrics {
    questions: IntCounterVec,
    seconds: Histogram,
}

impl HookMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            questions: register_int_counter_vec_with_registry!(
                "wsmesh_connect_hook_total",
                "Upgrades that the connect hook was asked about, by result.",
                &["result"],
                registry
            )?,
            seconds: register_histogram_with_registry!(
                "wsmesh_connect_hook_seconds",
                "Time that the connect hook took, whatever its answer.",
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
                registry
            )?,
        })
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
        self.questions.with_label_values(&[result]).inc();
    }

    pub(super) fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }
}
