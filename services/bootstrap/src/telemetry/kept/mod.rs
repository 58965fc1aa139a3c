//! Keeps the traces of requests that sampling left out, if they failed or were slow; the others are forgotten when they end.
//!
//! Each server decides for its own part of a trace. Nothing here blocks, waits or grows: what does not fit is counted.

mod undecided;

use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use parking_lot::Mutex;

use super::counts::TraceCounts;
use undecided::{Decided, Undecided};

/// A span processor before another one: gives it the sampled spans at once, and those of kept traces when it is known that they are.
///
/// It must be the only processor of its provider: with two, the SDK copies each span.
#[derive(Debug)]
pub(super) struct KeptTraces<P> {
    next: P,
    undecided: Mutex<Undecided>,
}

impl<P: SpanProcessor> KeptTraces<P> {
    /// Keeps traces of which a local root lasted longer than `slower_than`; a zero turns that off, and only those with an error are kept.
    pub(super) fn new(next: P, slower_than: Duration, counts: TraceCounts) -> Self {
        let slower_than = (!slower_than.is_zero()).then_some(slower_than);
        let undecided = Mutex::new(Undecided::new(slower_than, counts, Instant::now()));
        Self { next, undecided }
    }

    /// Must be called without the lock: it marks the spans to send, and frees the others.
    fn send(&self, decided: Decided) {
        decided.into_marked().for_each(|span| self.next.on_end(span));
    }
}

/// The SDK calls these while it holds the lock of the span: nothing here may log or touch a span.
impl<P: SpanProcessor> SpanProcessor for KeptTraces<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let context = span.span_context();
        if context.is_sampled() {
            return self.next.on_start(span, parent);
        }
        // The SDK says only at the end of a span whether its parent is remote, and never whether it is recorded.
        let parent = parent.span();
        let is_local_root =
            !parent.span_context().is_valid() || parent.span_context().is_remote() || !parent.is_recording();
        if is_local_root {
            let (trace, root) = (context.trace_id(), context.span_id());
            let old = self.undecided.lock().begin(trace, root, Instant::now());
            old.into_iter().for_each(|old| self.send(old));
        }
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            return self.next.on_end(span);
        }
        let decided = self.undecided.lock().end(span, Instant::now());
        self.send(decided);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    /// What has failed until now is still sent.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let all = self.undecided.lock().decide_all(Instant::now());
        all.into_iter().for_each(|decided| self.send(decided));
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests;
