//! Which requests to a backend are sent again: those that it has surely not received, and, where the settings say that this is
//! harmless, those that it may have. A budget keeps retries from multiplying the load of a backend that is failing.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use prometheus::IntCounter;
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::util::rng::HasherRng;

use super::answer::Answer;
use super::exchange::{Lost, Outgoing};

/// How often one request is sent again, at most.
const MOST: u32 = 2;

/// The first and the longest pause before that. A client waits meanwhile.
const PAUSE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// The budget: a fifth of the requests of the last ten seconds, and ten a second for backends with few requests.
const BUDGET: (Duration, u32, f32) = (Duration::from_secs(10), 10, 0.2);

/// The policy of one backend; a clone is for one request.
#[derive(Clone)]
pub(super) struct Retries {
    is_idempotent: bool,
    left: u32,
    pauses: ExponentialBackoff,
    budget: Arc<TpsBudget>,
    retried: IntCounter,
}

impl Retries {
    pub(super) fn new(is_idempotent: bool, retried: IntCounter) -> Result<Self, String> {
        let (first, longest) = PAUSE;
        let pauses = ExponentialBackoffMaker::new(first, longest, 0.5, HasherRng::default());
        let (ttl, least, share) = BUDGET;
        Ok(Self {
            is_idempotent,
            left: MOST,
            pauses: pauses.map_err(|error| error.to_string())?.make_backoff(),
            budget: Arc::new(TpsBudget::new(ttl, least, share)),
            retried,
        })
    }

    fn may_repeat(&self, result: &Result<Answer, Lost>) -> bool {
        match result {
            Err(Lost::NotSent(_)) => true,
            Err(Lost::Broken(_)) => self.is_idempotent,
            Ok(answer) => {
                let passing = [
                    StatusCode::BAD_GATEWAY,
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::GATEWAY_TIMEOUT,
                ];
                self.is_idempotent && passing.contains(&answer.status) && answer.retry_after.is_none()
            }
            Err(_) => false,
        }
    }
}

impl Policy<Outgoing, Answer, Lost> for Retries {
    type Future = tokio::time::Sleep;

    fn retry(&mut self, _: &mut Outgoing, result: &mut Result<Answer, Lost>) -> Option<Self::Future> {
        if !self.may_repeat(result) {
            self.budget.deposit();
            return None;
        }
        if self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        self.retried.inc();
        Some(self.pauses.next_backoff())
    }

    /// The same request, with the same id: headers and body are shared.
    fn clone_request(&mut self, request: &Outgoing) -> Option<Outgoing> {
        Some(request.clone())
    }
}
