use opentelemetry::trace::{Span as _, SpanContext, SpanId, TraceFlags, TraceState, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::*;

fn tracer(head: Sampler) -> SdkTracer {
    let provider = SdkTracerProvider::builder()
        .with_sampler(RequestSampler::new(head))
        .build();
    provider.tracer("test")
}

fn parent_based(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
}

fn remote(flags: TraceFlags) -> Context {
    let context = SpanContext::new(TraceId::from(1), SpanId::from(2), flags, true, TraceState::default());
    Context::new().with_remote_span_context(context)
}

/// Whether a span is recorded, and sampled.
fn outcome(tracer: &SdkTracer, is_request: Option<Value>, parent: &Context) -> (bool, bool) {
    let attributes = is_request.map(|value| KeyValue::new(REQUEST, value));
    let builder = tracer.span_builder("span").with_attributes(attributes);
    let span = builder.start_with_context(tracer, parent);
    (span.is_recording(), span.span_context().is_sampled())
}

#[test]
fn requests_that_are_left_out_are_recorded_and_nothing_else_is() {
    let tracer = tracer(parent_based(0.0));
    let none = Context::new();
    assert_eq!(outcome(&tracer, Some(true.into()), &none), (true, false));
    for (no_request, parent) in [
        (None, &none),
        (Some(false.into()), &none),
        (Some("true".into()), &none),
        (None, &remote(TraceFlags::default())),
    ] {
        assert_eq!(outcome(&tracer, no_request, parent), (false, false));
    }
    assert_eq!(
        outcome(&tracer, Some(true.into()), &remote(TraceFlags::default())),
        (true, false)
    );
}

#[test]
fn a_message_that_was_chosen_before_is_not_asked_about_again() {
    let tracer = tracer(parent_based(0.0));
    let chosen = |value: Value, parent: &Context| {
        let builder = tracer
            .span_builder("span")
            .with_attributes([KeyValue::new(MESSAGE, value)]);
        builder.start_with_context(&tracer, parent).span_context().is_sampled()
    };
    assert!(chosen(true.into(), &Context::new()));
    assert!(!chosen(false.into(), &Context::new()));
    assert!(
        !chosen(true.into(), &remote(TraceFlags::default())),
        "its sender left it out"
    );
}

#[test]
fn what_the_configured_sampler_takes_stays_sampled() {
    let tracer = tracer(parent_based(1.0));
    for is_request in [None, Some(true.into())] {
        assert_eq!(outcome(&tracer, is_request, &Context::new()), (true, true));
    }
    let never = self::tracer(parent_based(0.0));
    assert_eq!(
        outcome(&never, Some(true.into()), &remote(TraceFlags::SAMPLED)),
        (true, true)
    );
}

#[test]
fn children_of_a_recorded_request_are_recorded_and_grandchildren_are_until_it_ends() {
    let tracer = tracer(parent_based(0.0));
    let builder = tracer
        .span_builder("root")
        .with_attributes([KeyValue::new(REQUEST, true)]);
    let root = Context::new().with_span(builder.start_with_context(&tracer, &Context::new()));
    assert_eq!(outcome(&tracer, None, &root), (true, false));
    let child = root.with_span(tracer.start_with_context("child", &root));
    assert_eq!(outcome(&tracer, None, &child), (true, false));
    assert_eq!(
        child.span().span_context().trace_id(),
        root.span().span_context().trace_id()
    );
    root.span().end();
    assert_eq!(outcome(&tracer, None, &root), (false, false));
}

#[test]
fn the_state_of_a_trace_passes_through_a_recorded_request() {
    let tracer = tracer(parent_based(0.0));
    let state = TraceState::from_key_value([("vendor", "x")]).expect("valid");
    let context = SpanContext::new(
        TraceId::from(1),
        SpanId::from(2),
        TraceFlags::default(),
        true,
        state.clone(),
    );
    let builder = tracer
        .span_builder("root")
        .with_attributes([KeyValue::new(REQUEST, true)]);
    let span = builder.start_with_context(&tracer, &Context::new().with_remote_span_context(context));
    assert_eq!(span.span_context().trace_state(), &state);
}
