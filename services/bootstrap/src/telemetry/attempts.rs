//! The attempts to send: when the next one may be made, and what came of the last one.
//!
//! A collector that fails is asked less and less often, and one that says when to come back (`Retry-After`) not earlier. Only the thread of
//! the exporter waits here; meanwhile its queue fills, and what does not fit is dropped and counted.

use std::time::{Duration, Instant, SystemTime};

use axum::http::header::RETRY_AFTER;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use opentelemetry_http::{Bytes, HttpError, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use parking_lot::{Condvar, Mutex};

use super::failure::{Failure, Rejected};

/// The first and the longest wait after failures; doubled each time, with jitter.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest wait that a collector may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Another attempt is made only while at least this part of the time for a batch is left: a tenth.
const LEAST_PART: u32 = 10;

/// What one attempt leads to.
type Answer = Result<Response<Bytes>, HttpError>;

/// The attempts of one exporter.
#[derive(Debug)]
pub(crate) struct Attempts {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    waits: ExponentialBackoff,
    not_before: Option<Instant>,
    failure: Option<Failure>,
    /// What the collector did not take of the last request that it took.
    rejected: Option<Rejected>,
    has_ended: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let state = State {
            waits: waits(),
            not_before: None,
            failure: None,
            rejected: None,
            has_ended: false,
        };
        Self {
            state: Mutex::new(state),
            ended: Condvar::new(),
        }
    }

    /// Sends by `once`, first when that is allowed, and again if another attempt may succeed. All attempts together take no longer than
    /// `longest`: each is told how much of that is left. Blocks.
    pub(super) fn send(&self, longest: Duration, once: impl Fn(Duration) -> Answer) -> Answer {
        self.wait();
        let until = Instant::now() + longest;
        // With less time, an attempt would only hide what the collector answered before.
        let last = until - longest / LEAST_PART;
        let mut left = longest;
        loop {
            let answer = once(left);
            let failure = match &answer {
                Ok(response) if response.status().is_success() => {
                    self.succeeded(Rejected::of(response.body()));
                    return answer;
                }
                Ok(response) => Failure::Refused(response.status()),
                Err(error) => Failure::NoAnswer(error.to_string()),
            };
            let told = answer.as_ref().ok().and_then(retry_after);
            let is_final = !failure.may_pass();
            let next = self.failed(failure, told);
            if is_final || next >= last || !self.wait() {
                return answer;
            }
            left = until.saturating_duration_since(Instant::now());
        }
    }

    /// What came of the last batch, of which the exporter says this.
    ///
    /// # Errors
    /// Why it did not arrive, or not all of it.
    pub(super) fn outcome(&self, result: &OTelSdkResult) -> Result<(), Failure> {
        let mut state = self.state.lock();
        let rejected = state.rejected.take().map(Failure::Rejected);
        let Err(error) = result else {
            return rejected.map_or(Ok(()), Err);
        };
        let failure = state.failure.take();
        Err(failure.unwrap_or_else(|| Failure::NoAnswer(error.to_string())))
    }

    /// What the collector did not take of the last request that it took; the next call returns none.
    pub(crate) fn take_rejected(&self) -> Option<Rejected> {
        self.state.lock().rejected.take()
    }

    /// The process ends: nobody waits any more, and each batch is sent once.
    pub(crate) fn end(&self) {
        self.state.lock().has_ended = true;
        self.ended.notify_all();
    }

    fn succeeded(&self, rejected: Option<Rejected>) {
        let mut state = self.state.lock();
        state.failure = None;
        state.rejected = rejected;
        state.not_before = None;
        state.waits = waits();
    }

    /// When the next attempt may be made.
    fn failed(&self, failure: Failure, told: Option<Duration>) -> Instant {
        let mut state = self.state.lock();
        let own = state.waits.next().unwrap_or(WAITS.1);
        let wait = told.map_or(own, |told| told.clamp(WAITS.0, LONGEST_WAIT));
        let next = Instant::now() + wait;
        state.failure = Some(failure);
        state.rejected = None;
        state.not_before = Some(next);
        next
    }

    /// Until the next attempt may be made. False: the process ends.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while let Some(at) = state.not_before.filter(|at| *at > Instant::now()) {
            if state.has_ended {
                break;
            }
            self.ended.wait_until(&mut state, at);
        }
        !state.has_ended
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(WAITS.0)
        .with_max_delay(WAITS.1)
        .with_jitter()
        .without_max_times()
        .build()
}

/// In seconds, or a date.
fn retry_after(response: &Response<Bytes>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().map(Duration::from_secs).ok();
    seconds.or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
