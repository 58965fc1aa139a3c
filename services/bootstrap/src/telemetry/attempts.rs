//! The attempts to send: when the next one may be made, and what came of the last one.
//!
//! A collector that fails is asked less and less often, and one that says when to come back (`Retry-After`) not earlier. Only the thread of
//! the exporter waits here; meanwhile its queue fills, and what does not fit is dropped and counted.

use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use opentelemetry_http::{Bytes, HttpError, Response};
use parking_lot::{Condvar, Mutex};

/// The first and the longest wait after failures; doubled each time, with jitter.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest wait that a collector may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What one attempt leads to.
type Answer = Result<Response<Bytes>, HttpError>;

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered, or not in time; with the reason, which names no secrets.
    NoAnswer(String),
    /// The collector answered that it does not take them.
    Refused(StatusCode),
}

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
    has_ended: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let state = State {
            waits: waits(),
            not_before: None,
            failure: None,
            has_ended: false,
        };
        Self {
            state: Mutex::new(state),
            ended: Condvar::new(),
        }
    }

    /// Sends by `once`, first when that is allowed, and again until `longest` has passed if another attempt may succeed. Blocks.
    pub(super) fn send(&self, longest: Duration, once: impl Fn() -> Answer) -> Answer {
        self.wait();
        let until = Instant::now() + longest;
        loop {
            let answer = once();
            let failure = match &answer {
                Ok(response) if response.status().is_success() => {
                    self.succeeded();
                    return answer;
                }
                Ok(response) => Failure::Refused(response.status()),
                Err(error) => Failure::NoAnswer(error.to_string()),
            };
            let told = answer.as_ref().ok().and_then(retry_after);
            let is_final = !failure.may_pass();
            let next = self.failed(failure, told);
            if is_final || next >= until || !self.wait() {
                return answer;
            }
        }
    }

    /// Why the last attempt failed, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state.lock().failure.clone()
    }

    /// The process ends: nobody waits any more, and each batch is sent once.
    pub(crate) fn end(&self) {
        self.state.lock().has_ended = true;
        self.ended.notify_all();
    }

    fn succeeded(&self) {
        let mut state = self.state.lock();
        state.failure = None;
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

impl Failure {
    /// Whether the same batch may be taken later, by the specification of OTLP.
    fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
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
