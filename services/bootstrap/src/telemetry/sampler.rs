//! The sampler: what the configured one leaves out of a client's request is recorded all the same, as the request may fail or be slow.
//!
//! Such spans are recorded and not sampled (`RecordOnly`). Everything else that is left out costs what it costs without this.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::beginnings::MESSAGE;

/// The attribute of the spans that a client's request begins with on a server.
const REQUEST: &str = "wsmesh.request";

/// A head sampler that records the requests that it leaves out.
///
/// How the SDK treats them (0.33): a span that is recorded and not sampled has `is_recording` and the sampled flag 0, processors get it
/// at its start and at its end, and `BatchSpanProcessor` ignores it. Its children see a parent that is not sampled, so the
/// parent-based samplers would drop them: that is why a recorded parent is asked for here. tracing-opentelemetry (0.34) asks the sampler
/// when a span is first entered, asked for its context, or closed. The sampler sees all attributes that the span had until then, and
/// the parent that it was given by `set_parent`.
#[derive(Debug, Clone)]
pub(super) struct RequestSampler {
    head: Sampler,
}

impl RequestSampler {
    pub(super) fn new(head: Sampler) -> Self {
        Self { head }
    }
}

impl ShouldSample for RequestSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.head.should_sample(parent, trace, name, kind, attributes, links);
        // That was decided before there was a span.
        if has(attributes, MESSAGE) && !continues(parent) {
            result.decision = SamplingDecision::RecordAndSample;
        }
        if result.decision == SamplingDecision::Drop && (has(attributes, REQUEST) || is_in_request(parent)) {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

fn has(attributes: &[KeyValue], mark: &str) -> bool {
    let mut attributes = attributes.iter();
    attributes.any(|attribute| attribute.key.as_str() == mark && attribute.value == Value::Bool(true))
}

/// Whether a trace that began before goes on here.
fn continues(parent: Option<&Context>) -> bool {
    parent.is_some_and(|parent| parent.span().span_context().is_valid())
}

/// Whether the parent is a span of this process that is recorded and not sampled: only spans of requests are. A remote parent is never
/// recorded here, and one that has ended is not any more.
fn is_in_request(parent: Option<&Context>) -> bool {
    parent.is_some_and(|parent| {
        let span = parent.span();
        !span.span_context().is_sampled() && span.is_recording()
    })
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
