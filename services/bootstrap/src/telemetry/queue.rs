//! The queue before an exporter of spans or log lines: of a stated length, and what does not fit is counted. Nobody waits for it.
//!
//! The queue itself is that of the SDK, which drops what does not fit, too, but tells nobody how many. So nothing is given to it that it would drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus::IntCounter;

use super::attempts::Attempts;

/// How full a queue is; shared with the exporter, which empties it.
#[derive(Debug, Default)]
pub(super) struct Fill {
    waiting: AtomicUsize,
    /// What did not fit since somebody asked.
    overflow: AtomicUsize,
}

impl Fill {
    /// So many were taken out of the queue.
    pub(super) fn taken(&self, items: usize) {
        self.waiting.fetch_sub(items, Ordering::Relaxed);
    }

    /// How many did not fit since the last call.
    pub(super) fn overflow(&self) -> usize {
        self.overflow.swap(0, Ordering::Relaxed)
    }

    /// As if so many waited, and others did not fit.
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

/// Gives a batch processor at most as many spans or lines as it has places for.
#[derive(Debug)]
pub(super) struct Queue<P> {
    next: P,
    places: usize,
    fill: Arc<Fill>,
    attempts: Arc<Attempts>,
    dropped: IntCounter,
}

impl<P> Queue<P> {
    /// Before `next`, whose queue has so many places, and whose exporter makes these attempts. What does not fit is counted as `dropped`.
    pub(super) fn new(next: P, places: usize, fill: Arc<Fill>, attempts: Arc<Attempts>, dropped: IntCounter) -> Self {
        Self {
            next,
            places,
            fill,
            attempts,
            dropped,
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
            self.dropped.inc();
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

impl<P: LogProcessor> LogProcessor for Queue<P> {
    fn emit(&self, line: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.fill.has_place(self.places) {
            self.next.emit(line, scope);
        } else {
            self.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    /// As for spans.
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
