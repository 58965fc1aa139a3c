//! Traces across hops: the context of a span goes into the envelope, and comes out of it on the other server.
//!
//! An unsampled message costs nothing: no span, no header, no allocation. Names and attributes follow OpenTelemetry's
//! messaging conventions. Only the API is used; the service chooses the exporter.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::wire::{Envelope, Topic, Wm};

/// The span of one publish, child of the current span; disabled when that is not sampled.
pub(crate) fn publish_span(topic: &Topic) -> Span {
    if !is_sampled(&Span::current()) {
        return Span::none();
    }
    tracing::info_span!(
        "publish",
        otel.name = format!("publish {}", topic.kind()),
        otel.kind = "producer",
        messaging.system = "redis",
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.destination.template = topic.kind(),
        messaging.message.id = tracing::field::Empty,
        server.address = tracing::field::Empty,
        error.r#type = tracing::field::Empty,
    )
}

/// Writes the span's context into an envelope, if it is sampled.
pub(crate) fn inject(span: &Span, wm: &mut Wm) {
    if span.is_disabled() {
        return;
    }
    let context = span.context();
    let span_context = context.span().span_context().clone();
    if span_context.is_valid() && span_context.is_sampled() {
        wm.traceparent = Some(format!("00-{}-{}-01", span_context.trace_id(), span_context.span_id()));
        let state = span_context.trace_state().header();
        wm.tracestate = (!state.is_empty()).then_some(state);
        span.record(
            "messaging.message.id",
            format!("{}-{}", wm.identity.instance, wm.identity.sequence),
        );
    }
}

/// The span of handling an envelope, child of the sender's; disabled when the envelope carries no context.
pub(crate) fn process_span(name: &str, envelope: &Envelope) -> Span {
    let Some(remote) = envelope.wm.as_ref().and_then(sender_context) else {
        return Span::none();
    };
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = format!("process {name}"),
        otel.kind = "consumer",
        messaging.system = "redis",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.client.id = %envelope.sender,
        wsmesh.local_clients = tracing::field::Empty,
    );
    span.add_link(remote.clone());
    // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    span
}

/// The trace that an envelope belongs to, if it is sampled.
pub(crate) fn sampled_trace(wm: &Wm) -> Option<TraceId> {
    let context = remote_context(wm.traceparent.as_deref()?, None);
    context
        .filter(SpanContext::is_sampled)
        .map(|context| context.trace_id())
}

/// The context that an envelope carries, if it is sampled.
fn sender_context(wm: &Wm) -> Option<SpanContext> {
    let context = remote_context(wm.traceparent.as_deref()?, wm.tracestate.as_deref());
    context.filter(SpanContext::is_sampled)
}

fn is_sampled(span: &Span) -> bool {
    !span.is_disabled() && span.context().span().span_context().is_sampled()
}

/// The context of a W3C `traceparent`, version 00, and `tracestate`; <https://www.w3.org/TR/trace-context/>. A state that cannot be
/// read is left out.
///
/// Read here, because the propagator that reads it is part of OpenTelemetry's SDK, and the adapter knows only the API.
pub fn remote_context(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || parts.next().is_some() {
        return None;
    }
    let state = tracestate.and_then(|text| text.parse::<TraceState>().ok());
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        state.unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(remote_context(good, None).is_some_and(|context| context.is_sampled() && context.is_remote()));
        for bad in [
            "",
            "00",
            &good[..54],
            &good.replace("0af7", "zzzz"),
            &good.replace("00-0", "ff-0"),
            &format!("{good}-x"),
        ] {
            assert!(remote_context(bad, None).is_none(), "{bad}");
        }
        assert!(remote_context("00-00000000000000000000000000000000-b7ad6b7169203331-01", None).is_none());
    }
}
