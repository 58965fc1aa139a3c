//! Counts what becomes of the spans, and logs once when that changes, in place of an error every few seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;

use super::attempts::{Attempts, Failure};
use super::counts::TraceCounts;
use super::queue::Fill;

/// The queue overflows until it did not for this long.
const CALM: Duration = Duration::from_secs(60);

/// An exporter whose spans are counted, and whose failures are logged once.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    endpoint: String,
    attempts: Arc<Attempts>,
    fill: Arc<Fill>,
    counts: TraceCounts,
    state: Mutex<State>,
}

/// How sending goes. Each change is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sending,
    NoAnswer,
    Refused,
    /// Spans are sent, but more come; since then none was dropped.
    Overflowing(Instant),
}

impl<E> Counted<E> {
    /// Wraps an exporter that sends to `endpoint`, with these attempts, what it takes out of this queue.
    pub(super) fn new(
        exporter: E,
        endpoint: String,
        attempts: Arc<Attempts>,
        fill: Arc<Fill>,
        counts: TraceCounts,
    ) -> Self {
        Self {
            exporter,
            endpoint,
            attempts,
            fill,
            counts,
            state: Mutex::new(State::Sending),
        }
    }

    /// The attempts that it sends by.
    pub(super) fn attempts(&self) -> Arc<Attempts> {
        self.attempts.clone()
    }

    fn count(&self, spans: usize, result: &OTelSdkResult) -> State {
        let overflow = self.fill.overflow();
        let failure = self.attempts.failure().filter(|_| result.is_err());
        let (counter, state) = match (&failure, result) {
            (Some(Failure::Refused(_)), _) => (&self.counts.refused, State::Refused),
            (_, Err(_)) => (&self.counts.dropped, State::NoAnswer),
            (_, Ok(())) if overflow > 0 => (&self.counts.exported, State::Overflowing(Instant::now())),
            (_, Ok(())) => (&self.counts.exported, State::Sending),
        };
        counter.inc_by(spans as u64);
        state
    }

    /// Makes this the state, and logs it if it is another one.
    fn change(&self, new: State, result: &OTelSdkResult) {
        let mut state = self.state.lock();
        let old = *state;
        let new = match (old, new) {
            (State::Overflowing(since), State::Sending) if since.elapsed() < CALM => return,
            // What overflowed while nothing was taken was said then.
            (State::NoAnswer | State::Refused, State::Overflowing(_)) => State::Sending,
            _ => new,
        };
        *state = new;
        drop(state);
        if std::mem::discriminant(&old) != std::mem::discriminant(&new) {
            self.log(old, new, result);
        }
    }

    fn log(&self, old: State, new: State, result: &OTelSdkResult) {
        let endpoint = &self.endpoint;
        let error = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match (new, self.attempts.failure()) {
            (State::Refused, Some(Failure::Refused(status))) => tracing::warn!(
                endpoint,
                %status,
                "the collector refuses traces, and they are dropped until it takes them: its own log says why. 401 and 403: check \
                 OTEL_EXPORTER_OTLP_HEADERS; 404: check the path; 429 and 503: it has too much to do, sample less with \
                 OTEL_TRACES_SAMPLER_ARG"
            ),
            (State::Refused | State::NoAnswer, failure) => tracing::warn!(
                endpoint,
                error = match failure {
                    Some(Failure::NoAnswer(why)) => why,
                    _ => error,
                },
                "traces cannot be sent and are dropped until they can: check that OTEL_EXPORTER_OTLP_ENDPOINT is right, that a \
                 server answers there, and its certificate if it is https"
            ),
            (State::Overflowing(_), _) => tracing::warn!(
                endpoint,
                "more spans end than the collector takes, and the rest are dropped: sample less with OTEL_TRACES_SAMPLER_ARG, or allow \
                 more to wait with OTEL_BSP_MAX_QUEUE_SIZE"
            ),
            (State::Sending, _) if matches!(old, State::Overflowing(_)) => {
                tracing::info!(endpoint, "all traces are sent again");
            }
            (State::Sending, _) => tracing::info!(endpoint, "traces are sent again"),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.fill.taken(spans);
        let result = self.exporter.export(batch).await;
        let state = self.count(spans, &result);
        self.change(state, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
