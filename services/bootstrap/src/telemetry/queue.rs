//! The queue before the exporter: of a stated length, and what does not fit is counted. Nobody waits for it.
//!
//! The queue itself is that of the SDK, which drops spans, too, but tells nobody how many. So nothing is given to it that it would drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::attempts::Attempts;
use super::counts::TraceCounts;

/// How full a queue is; shared with the exporter, which empties it.
#[derive(Debug, Default)]
pub(super) struct Fill {
    waiting: AtomicUsize,
    /// Spans that did not fit since somebody asked.
    overflow: AtomicUsize,
}

impl Fill {
    /// So many spans were taken out of the queue.
    pub(super) fn taken(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }

    /// How many spans did not fit since the last call.
    pub(super) fn overflow(&self) -> usize {
        self.overflow.swap(0, Ordering::Relaxed)
    }

    /// As if so many spans waited, and others did not fit.
    #[cfg(test)]
    pub(super) fn put(&self, waiting: usize, overflow: usize) {
        self.waiting.fetch_add(waiting, Ordering::Relaxed);
        self.overflow.fetch_add(overflow, Ordering::Relaxed);
    }

    fn has_place(&self, most: usize) -> bool {
        let has_place = self.waiting.fetch_add(1, Ordering::Relaxed) < most;
        if !has_place {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
        has_place
    }
}

/// Gives a batch processor at most as many spans as it has places for.
#[derive(Debug)]
pub(super) struct Queue<P> {
    next: P,
    places: usize,
    fill: Arc<Fill>,
    attempts: Arc<Attempts>,
    counts: TraceCounts,
}

impl<P> Queue<P> {
    /// Before `next`, whose queue has so many places, and whose exporter makes these attempts.
    pub(super) fn new(next: P, places: usize, fill: Arc<Fill>, attempts: Arc<Attempts>, counts: TraceCounts) -> Self {
        Self {
            next,
            places,
            fill,
            attempts,
            counts,
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for Queue<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        self.next.on_start(span, parent);
    }

    fn on_end(&self, span: SpanData) {
        if self.fill.has_place(self.places) {
            self.next.on_end(span);
        } else {
            self.counts.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    /// The exporter must not wait for its next attempt then.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.attempts.end();
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
