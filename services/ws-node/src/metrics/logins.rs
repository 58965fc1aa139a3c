//! Metrics of logins.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};

/// Result of a login, or of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginOutcome {
    /// It was claimed, and no other server held the client.
    Alone,
    /// It was claimed, and other servers were asked.
    Met,
    /// It was not claimed yet: no node took the claim.
    Retried,
    /// It was closed for newer ones.
    Replaced,
    /// It was rejected, or closed, for older ones.
    Refused,
}

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct LoginMetrics(IntCounterVec);

impl LoginMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let logins = register_int_counter_vec_with_registry!(
            "wsmesh_logins_total",
            "Logins that were claimed, and those that were closed for others of the same id.",
            &["outcome"],
            registry
        )?;
        // A rate needs a series that was there before.
        for outcome in ["alone", "met", "retried", "replaced", "refused"] {
            logins.with_label_values(&[outcome]);
        }
        Ok(Self(logins))
    }

    /// A login has this result.
    pub(crate) fn count(&self, outcome: LoginOutcome) {
        let outcome = match outcome {
            LoginOutcome::Alone => "alone",
            LoginOutcome::Met => "met",
            LoginOutcome::Retried => "retried",
            LoginOutcome::Replaced => "replaced",
            LoginOutcome::Refused => "refused",
        };
        self.0.with_label_values(&[outcome]).inc();
    }
}
