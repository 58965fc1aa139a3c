//! With the SDK and tracing as they are in a service.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::telemetry::reason::Reason;
use crate::telemetry::sampler::RequestSampler;

/// What comes out of the end.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Sent {
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

impl Sent {
    fn names(&self) -> Vec<String> {
        self.0.lock().iter().map(|span| span.name.to_string()).collect()
    }
}

/// A provider that samples the share of traces, and what it sends. The limit is an hour, so only errors are kept.
fn provider(head: Sampler) -> (SdkTracerProvider, Sent, TraceCounts) {
    let (sent, counts) = (Sent::default(), TraceCounts::new());
    let kept = KeptTraces::new(sent.clone(), Duration::from_secs(3_600), counts.clone());
    let provider = SdkTracerProvider::builder()
        .with_sampler(RequestSampler::new(head))
        .with_span_processor(kept)
        .build();
    (provider, sent, counts)
}

fn subscriber(provider: &SdkTracerProvider) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
}

fn never() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)))
}

fn request(fails: bool) {
    let root = tracing::info_span!(
        "ws.receive",
        wsmesh.request = true,
        otel.status_code = tracing::field::Empty
    );
    root.in_scope(|| {
        tracing::info_span!("publish").in_scope(|| tracing::info!("published"));
        if fails {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
    });
}

#[test]
fn a_request_that_fails_is_sent_with_its_children_although_nothing_is_sampled() {
    let (provider, sent, counts) = provider(never());
    tracing::subscriber::with_default(subscriber(&provider), || {
        request(false);
        tracing::info_span!("upgrade", otel.status_code = "ERROR").in_scope(|| ());
        assert_eq!(sent.names(), [""; 0]);
        request(true);
    });
    assert_eq!(sent.names(), ["publish", "ws.receive"]);
    let spans = sent.0.lock();
    assert_eq!(spans[0].events.len(), 1, "what was logged in it is there");
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(counts.kept(Reason::Error).get(), 1);
}

#[test]
fn sampled_traces_pass_at_once_and_are_not_marked() {
    let (provider, sent, counts) = provider(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    tracing::subscriber::with_default(subscriber(&provider), || request(true));
    assert_eq!(sent.names(), ["publish", "ws.receive"]);
    assert!(
        sent.0
            .lock()
            .iter()
            .all(|span| span.attributes.iter().all(|a| a.key.as_str() != "wsmesh.kept"))
    );
    assert_eq!(counts.kept(Reason::Error).get(), 0);
}

#[test]
fn the_part_of_another_server_is_decided_when_its_own_root_ends() {
    let (provider, sent, _) = provider(never());
    let sender = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::default(),
        true,
        TraceState::default(),
    );
    tracing::subscriber::with_default(subscriber(&provider), || {
        for (status, is_request) in [("OK", true), ("ERROR", false), ("ERROR", true)] {
            let process =
                tracing::info_span!(parent: None, "process", wsmesh.request = is_request, otel.status_code = status);
            process
                .set_parent(Context::new().with_remote_span_context(sender.clone()))
                .expect("it has not begun");
            process.in_scope(|| ());
        }
    });
    assert_eq!(sent.names(), ["process"]);
    let span = &sent.0.lock()[0];
    assert_eq!(span.span_context.trace_id(), TraceId::from(7));
    assert!(span.span_context.is_sampled() && span.parent_span_is_remote);
}

#[test]
fn a_request_below_a_span_that_is_not_recorded_is_a_root_of_its_own() {
    let (provider, sent, _) = provider(never());
    tracing::subscriber::with_default(subscriber(&provider), || {
        tracing::info_span!("unrecorded").in_scope(|| request(true));
    });
    assert_eq!(sent.names(), ["publish", "ws.receive"]);
}

#[test]
fn many_threads_lose_and_mix_nothing() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 200;
    let (provider, sent, counts) = provider(never());
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                tracing::subscriber::with_default(subscriber(&provider), || {
                    (0..REQUESTS).for_each(|number| request(number % 20 == 0));
                });
            });
        }
    });
    let failed = (THREADS * REQUESTS / 20) as u64;
    let kept = counts.kept(Reason::Error).get();
    assert_eq!(kept + counts.not_kept.get(), failed);
    let spans = sent.0.lock();
    assert_eq!(spans.len() as u64, 2 * kept);
    for pair in spans.chunk_by(|a, b| a.span_context.trace_id() == b.span_context.trace_id()) {
        assert!(pair.len() <= 2);
    }
}

#[test]
fn what_has_failed_is_sent_when_the_process_ends() {
    let (provider, sent, _) = provider(never());
    let subscriber = subscriber(&provider);
    tracing::subscriber::with_default(subscriber, || {
        let root = tracing::info_span!("ws.receive", wsmesh.request = true);
        root.in_scope(|| tracing::info_span!("publish", otel.status_code = "ERROR").in_scope(|| ()));
        provider.shutdown().expect("nothing to wait for");
        assert_eq!(sent.names(), ["publish"]);
    });
}
