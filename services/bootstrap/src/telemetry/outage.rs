//! Logs once that a collector does not take what it is sent, and once that it does again, in place of an error every few seconds.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::failure::{Failure, advice};
use super::signal::Signal;

/// What happens now and then lasts until it did not happen for this long.
const CALM: Duration = Duration::from_secs(60);

/// Whether a collector takes what it is sent of one signal. Each change is logged.
#[derive(Debug)]
pub(crate) struct Outage {
    signal: Signal,
    endpoint: String,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It takes everything.
    None,
    NoAnswer,
    Refused,
    /// It takes a part; since then it rejected none.
    Rejected(Instant),
    /// It takes everything, but more comes; since then nothing was dropped.
    Overflowing(Instant),
}

impl State {
    fn of(result: &Result<(), Failure>, overflow: usize, now: Instant) -> Self {
        match result {
            Err(Failure::NoAnswer(_)) => Self::NoAnswer,
            Err(Failure::Refused(_)) => Self::Refused,
            Err(Failure::Rejected(_)) => Self::Rejected(now),
            Ok(()) if overflow > 0 => Self::Overflowing(now),
            Ok(()) => Self::None,
        }
    }

    /// The state after this one, if something came of sending that is `new`.
    fn then(self, new: Self, now: Instant) -> Self {
        match (self, new) {
            (Self::Overflowing(since), Self::None) | (Self::Rejected(since), Self::None | Self::Overflowing(_))
                if now.saturating_duration_since(since) < CALM =>
            {
                self
            }
            // What overflowed while nothing was taken was said then.
            (Self::NoAnswer | Self::Refused, Self::Overflowing(_)) => Self::None,
            _ => new,
        }
    }
}

impl Outage {
    /// The collector at `endpoint`, which must show no secret, takes everything so far.
    pub(crate) fn new(signal: Signal, endpoint: String) -> Self {
        Self {
            signal,
            endpoint,
            state: Mutex::new(State::None),
        }
    }

    /// Logs what came of sending, if what came of it before was another thing.
    pub(crate) fn log(&self, result: &Result<(), Failure>) {
        self.log_with_overflow(result, 0);
    }

    /// The same, where `overflow` did not fit into the queue meanwhile.
    pub(crate) fn log_with_overflow(&self, result: &Result<(), Failure>, overflow: usize) {
        self.log_at(result, overflow, Instant::now());
    }

    fn log_at(&self, result: &Result<(), Failure>, overflow: usize, now: Instant) {
        let (old, new) = {
            let mut state = self.state.lock();
            let old = *state;
            *state = old.then(State::of(result, overflow, now), now);
            (old, *state)
        };
        if std::mem::discriminant(&old) == std::mem::discriminant(&new) {
            return;
        }
        match (new, result) {
            (State::None, _) => self.log_end(old),
            (State::Overflowing(_), _) => self.log_overflow(),
            (_, Err(failure)) => self.log_failure(failure),
            (_, Ok(())) => {}
        }
    }

    fn log_failure(&self, failure: &Failure) {
        let (endpoint, advice) = (&self.endpoint, advice(self.signal, failure));
        let (what, gone) = match self.signal {
            Signal::Metrics => ("metrics", "missing there"),
            other => (other.plural(), "dropped"),
        };
        let error = failure.why();
        match failure {
            Failure::NoAnswer(_) => {
                tracing::warn!(
                    endpoint,
                    error,
                    "{what} cannot be sent and are {gone} until they can: {advice}"
                );
            }
            Failure::Refused(status) => tracing::warn!(
                endpoint,
                status = tracing::field::display(status),
                "the collector refuses {what}, and they are {gone} until it takes them: {advice}"
            ),
            Failure::Rejected(part) => tracing::warn!(
                endpoint,
                rejected = part.items,
                error,
                "the collector rejects some of the {what}: {advice}"
            ),
        }
    }

    fn log_overflow(&self) {
        let endpoint = &self.endpoint;
        match self.signal {
            Signal::Logs => tracing::warn!(
                endpoint,
                "more lines are logged than the collector takes, and the rest are not sent: log less with --log-level, or allow more to \
                 wait with OTEL_BLRP_MAX_QUEUE_SIZE"
            ),
            Signal::Traces => tracing::warn!(
                endpoint,
                "more spans end than the collector takes, and the rest are dropped: sample less with \
                 OTEL_TRACES_SAMPLER=parentbased_traceidratio and a share in OTEL_TRACES_SAMPLER_ARG, or allow more to wait with \
                 OTEL_BSP_MAX_QUEUE_SIZE"
            ),
            // They wait in no queue: each push gathers them.
            Signal::Metrics => {}
        }
    }

    fn log_end(&self, old: State) {
        let (what, endpoint) = (self.signal.plural(), &self.endpoint);
        match old {
            State::Overflowing(_) | State::Rejected(_) => tracing::info!(endpoint, "all {what} are sent again"),
            _ => tracing::info!(endpoint, "{what} are sent again"),
        }
    }
}

#[cfg(test)]
#[path = "outage_tests.rs"]
mod tests;
