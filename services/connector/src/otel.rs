//! Traces of the crate `opentelemetry`, for [`Options::traces`](crate::Options::traces).

use std::collections::HashMap;
use std::fmt;

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

use crate::{Trace, Traces};

/// Starts a span for each event and request: kind CLIENT, named like it, a child of the current
/// [`Context`](opentelemetry::Context). The frame carries its context, if the global propagator writes a `traceparent`. An error's
/// code is the span's `error.type` and status.
pub struct OpenTelemetry {
    start: Box<dyn Fn(&str) -> Context + Send + Sync>,
}

impl OpenTelemetry {
    /// Uses this tracer. The [`Default`] uses the global provider, which may be set later; without one nothing is traced.
    pub fn new<T>(tracer: T) -> Self
    where
        T: Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static,
    {
        Self {
            start: Box::new(move |event| start(&tracer, event)),
        }
    }
}

impl Default for OpenTelemetry {
    fn default() -> Self {
        Self {
            start: Box::new(|event| start(&global::tracer("wsmesh-connector"), event)),
        }
    }
}

impl Traces for OpenTelemetry {
    fn begin(&self, event: &str) -> Option<Trace> {
        let context = (self.start)(event);
        let mut carrier = HashMap::<String, String>::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
        let trace = Trace::new(carrier.remove("traceparent"));
        Some(trace.on_end(move |error| {
            let span = context.span();
            if let Some(code) = error {
                span.set_attribute(KeyValue::new("error.type", code.to_owned()));
                span.set_status(Status::error(code.to_owned()));
            }
            span.end();
        }))
    }
}

impl fmt::Debug for OpenTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTelemetry").finish_non_exhaustive()
    }
}

fn start<T: Tracer<Span: Send + Sync + 'static>>(tracer: &T, event: &str) -> Context {
    let span = tracer
        .span_builder(event.to_owned())
        .with_kind(SpanKind::Client)
        .with_attributes([KeyValue::new("wsmesh.event", event.to_owned())])
        .start(tracer);
    Context::current_with_span(span)
}
