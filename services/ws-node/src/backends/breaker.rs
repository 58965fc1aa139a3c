//! The breaker: a backend that failed several times in a row is not called for a while; then single calls find out whether it
//! works again. So clients get their error at once, and a backend that starts is not overrun.
//!
//! It is that of tower-resilience, whose half-open state survives calls that are dropped; failsafe lets all calls through in
//! that state, and knows no tower.

use prometheus::IntGauge;
use tower_resilience_circuitbreaker::{
    CircuitBreakerError, CircuitBreakerLayer, CircuitState, FnClassifier, circuit_breaker_builder,
};

use super::answer::Answer;
use super::destination::BreakerLimits;
use super::exchange::Lost;

/// Tells failures of a backend from answers.
type Classifier = FnClassifier<fn(&Result<Answer, Lost>) -> bool>;

/// A breaker for one backend. `what` is for the log: label and URL.
pub(super) fn layer(
    limits: BreakerLimits,
    open: IntGauge,
    what: String,
) -> Result<CircuitBreakerLayer<Classifier>, String> {
    let builder = circuit_breaker_builder()
        .consecutive_failures(limits.failures.max(1))
        .wait_duration_in_open(limits.open)
        .permitted_calls_in_half_open(1)
        .failure_classifier(is_failure as fn(&Result<Answer, Lost>) -> bool)
        .on_state_transition(move |from, to| {
            open.set((to != CircuitState::Closed).into());
            match (from, to) {
                (CircuitState::Closed, CircuitState::Open) => {
                    tracing::warn!(backend = what, "a backend failed repeatedly: it is not called for now");
                }
                (_, CircuitState::Closed) => tracing::info!(backend = what, "a backend works again"),
                _ => {}
            }
        });
    let builder = if limits.failures == 0 {
        // Nothing opens it.
        builder.manual_mode()
    } else {
        builder
    };
    builder.build().map_err(|error| error.to_string())
}

/// What a client does wrong is no failure of the backend, nor is an answer that is too large.
fn is_failure(result: &Result<Answer, Lost>) -> bool {
    match result {
        Ok(answer) => answer.status.is_server_error(),
        Err(Lost::BadAnswer(_) | Lost::GivenUp | Lost::Overloaded | Lost::Resting) => false,
        Err(Lost::NotSent(_) | Lost::Broken(_) | Lost::TooSlow) => true,
    }
}

impl From<CircuitBreakerError<Self>> for Lost {
    fn from(error: CircuitBreakerError<Self>) -> Self {
        error.into_inner().unwrap_or(Self::Resting)
    }
}
