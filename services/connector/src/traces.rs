//! Traces of events and requests: the application begins and ends them. Nothing that its code does affects an event or request: a panic
//! is logged, and what is no trace context is left out.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use wsmesh_protocol::frame;

/// Begins traces: what [`Options::traces`](crate::Options::traces) takes. A closure `|event: &str| -> Option<Trace>` is one, too.
pub trait Traces: Send + Sync {
    /// Begins the trace of an event or request of this name; `None`: it has none. Called where the event or request is sent; must be
    /// quick.
    fn begin(&self, event: &str) -> Option<Trace>;
}

impl<F: Fn(&str) -> Option<Trace> + Send + Sync> Traces for F {
    fn begin(&self, event: &str) -> Option<Trace> {
        self(event)
    }
}

/// The trace of one event or request: what its frame carries, and what is called at its end.
pub struct Trace {
    traceparent: Option<String>,
    end: Option<End>,
}

type End = Box<dyn FnOnce(Option<&str>) + Send>;

impl Trace {
    /// A trace with this W3C `traceparent` in its frame; `None`: the frame carries nothing.
    pub fn new(traceparent: impl Into<Option<String>>) -> Self {
        Self {
            traceparent: traceparent.into(),
            end: None,
        }
    }

    /// Calls `end` once: when a request is answered, refused, timed out or given up, with the error's code or `None`. A request whose
    /// future is dropped ends with `CANCELLED`. That of an event is called as soon as the event is in the queue, is kept or is
    /// refused.
    #[must_use]
    pub fn on_end(mut self, end: impl FnOnce(Option<&str>) + Send + 'static) -> Self {
        self.end = Some(Box::new(end));
        self
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("traceparent", &self.traceparent)
            .finish_non_exhaustive()
    }
}

/// The code of a request or event whose future was dropped.
pub(crate) const CANCELLED: &str = "CANCELLED";
/// The code of what ended with its connection.
pub(crate) const DISCONNECTED: &str = "WS_DISCONNECTED";

/// A trace that has not ended. If it is dropped, it ends with the error `dropped`.
pub(crate) struct Running {
    trace: Option<Trace>,
    dropped: &'static str,
}

impl Running {
    pub(crate) fn begin(traces: Option<&Arc<dyn Traces>>, event: &str, dropped: &'static str) -> Self {
        let trace = traces.and_then(|traces| guarded(|| traces.begin(event)).flatten());
        Self { trace, dropped }
    }

    /// The frame with the trace's context.
    pub(crate) fn on(&self, text: String) -> String {
        match self.traceparent() {
            Some(traceparent) => frame::with_traceparent(text, traceparent),
            None => text,
        }
    }

    /// The context that frames carry.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        let given = self.trace.as_ref()?.traceparent.as_deref()?;
        is_context(given).then_some(given)
    }

    pub(crate) fn end(mut self, error: Option<&str>) {
        self.finish(error);
    }

    fn finish(&mut self, error: Option<&str>) {
        if let Some(end) = self.trace.take().and_then(|trace| trace.end) {
            guarded(|| end(error));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish(Some(self.dropped));
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Running").field(&self.trace).finish()
    }
}

/// Whether it has the form of a W3C trace context.
fn is_context(text: &str) -> bool {
    text.len() == 55
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// Calls code of the application; a panic goes no further.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let called = catch_unwind(AssertUnwindSafe(call));
    if called.is_err() {
        tracing::error!("the application's code for traces panicked: this event or request goes on without it");
    }
    called.ok()
}
