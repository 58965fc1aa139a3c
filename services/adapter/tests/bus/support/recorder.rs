//! Keeps every span that is recorded, sampled or not. The sampler decides as a service's does: by the parent, or else as told; the spans
//! of requests are recorded in any case.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, Status, TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData, SpanProcessor,
};
use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

/// The spans of this thread, as long as the guard lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl Recorder {
    /// Records on this thread. `head` says whether a trace that begins here is sampled.
    pub(crate) fn start(head: bool) -> (Self, DefaultGuard) {
        let recorder = Self::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(recorder.clone())
            .with_sampler(Requests { head })
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (recorder, guard)
    }

    /// The spans that have ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.0.lock().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().iter().map(|span| span.name.to_string()).collect()
    }

    /// The only span of this name.
    pub(crate) fn one(&self, name: &str) -> SpanData {
        let spans = self.all(name);
        assert_eq!(spans.len(), 1, "{name} in {:?}", self.names());
        spans[0].clone()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<SpanData> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }
}

impl SpanProcessor for Recorder {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string())
}

/// An attribute that is a whole number, and no text that looks like one.
pub(crate) fn number(span: &SpanData, key: &str) -> Option<i64> {
    span.attributes.iter().find_map(|attribute| match attribute.value {
        Value::I64(number) if attribute.key.as_str() == key => Some(number),
        _ => None,
    })
}

/// Why a span failed: its status, which says the same as `error.type`.
pub(crate) fn error(span: &SpanData) -> Option<String> {
    let Status::Error { description } = &span.status else {
        assert_eq!(attribute(span, "error.type"), None, "{span:?}");
        return None;
    };
    assert_eq!(
        attribute(span, "error.type").as_deref(),
        Some(&**description),
        "{span:?}"
    );
    Some(description.to_string())
}

#[derive(Debug, Clone)]
struct Requests {
    head: bool,
}

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().clone());
        let parent = parent.filter(opentelemetry::trace::SpanContext::is_valid);
        let of_request = || attributes.contains(&KeyValue::new("wsmesh.request", true));
        let decision = match parent.as_ref().map_or(self.head, |parent| parent.is_sampled()) {
            true => SamplingDecision::RecordAndSample,
            false if of_request() => SamplingDecision::RecordOnly,
            false => SamplingDecision::Drop,
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: parent.map(|parent| parent.trace_state().clone()).unwrap_or_default(),
        }
    }
}
