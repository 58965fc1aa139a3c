//! The adapter for the crate `opentelemetry`, with its real SDK.

use std::sync::Arc;

use opentelemetry::global;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use serde_json::json;
use wsmesh_connector::{OpenTelemetry, RequestError};

use crate::support::{Server, connected, soon};

/// Keeps all spans.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// The adapter over an SDK that samples like this, and the spans that it exports.
fn sdk(sampler: Sampler) -> (OpenTelemetry, SdkTracerProvider, Kept) {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .with_sampler(sampler)
        .build();
    (OpenTelemetry::new(provider.tracer("tests")), provider, kept)
}

#[tokio::test]
async fn a_request_is_a_client_span_below_the_current_one_and_its_frame_carries_its_context() {
    let server = Server::start().await;
    let (traces, provider, kept) = sdk(Sampler::AlwaysOn);
    let (client, mut peer, _task) = connected(&server, server.options().traces(traces)).await;
    let click = Context::current_with_span(provider.tracer("app").start("click"));
    let asked = {
        let _click = click.clone().attach();
        // Polled once here: that is when it is sent.
        let mut asked = Box::pin(std::future::IntoFuture::into_future(client.request("ask", &1)));
        assert!(futures_util::poll!(&mut asked).is_pending());
        asked
    };
    let frame = peer.json().await;
    assert!(kept.take().is_empty(), "the request is not answered");
    peer.say(json!({"payload": 2, "callbackId": frame["callbackId"]})).await;
    assert_eq!(soon("a reply", asked).await.expect("answered").as_str(), "2");
    let [span] = kept.take().try_into().expect("one span");
    let context = &span.span_context;
    assert_eq!(
        frame["traceparent"],
        format!("00-{}-{}-01", context.trace_id(), context.span_id())
    );
    assert_eq!(span.parent_span_id, click.span().span_context().span_id());
    assert_eq!(
        (&*span.name, span.span_kind, span.status),
        ("ask", SpanKind::Client, Status::Unset)
    );
    assert_eq!(span.attributes, [KeyValue::new("wsmesh.event", "ask")]);
}

#[tokio::test]
async fn the_code_of_an_error_is_the_error_type_and_the_status_of_the_span() {
    let server = Server::start().await;
    let (traces, _provider, kept) = sdk(Sampler::AlwaysOn);
    let (client, mut peer, _task) = connected(&server, server.options().traces(traces)).await;
    let refusing = async {
        let frame = peer.json().await;
        let refusal = json!({"error": "no more", "errorCode": "SOLD_OUT"});
        peer.say(json!({"payload": refusal, "callbackId": frame["callbackId"]}))
            .await;
    };
    let (refused, ()) = tokio::join!(
        std::future::IntoFuture::into_future(client.request("buy", &1)),
        refusing
    );
    assert!(matches!(refused, Err(RequestError::Refused { .. })));
    // A request that nobody waits for any more.
    let mut dropped = Box::pin(std::future::IntoFuture::into_future(client.request("ask", &1)));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    drop(dropped);
    client.emit("say", &1).await.expect("open");
    let seen: Vec<_> = kept.take().into_iter().map(|span| (span.name, span.status)).collect();
    assert_eq!(
        seen,
        [
            ("buy".into(), Status::error("SOLD_OUT")),
            ("ask".into(), Status::error("CANCELLED")),
            ("say".into(), Status::Unset),
        ]
    );
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_says_so_in_the_frame() {
    let server = Server::start().await;
    let (traces, _provider, kept) = sdk(Sampler::AlwaysOff);
    let (client, mut peer, _task) = connected(&server, server.options().traces(traces)).await;
    client.emit("say", &1).await.expect("open");
    let traceparent = peer.json().await["traceparent"].as_str().expect("a context").to_owned();
    assert!(traceparent.ends_with("-00"), "{traceparent}");
    assert!(kept.take().is_empty());
}

#[tokio::test]
async fn without_a_provider_nothing_is_traced() {
    let server = Server::start().await;
    let options = server.options().traces(OpenTelemetry::default());
    let (client, mut peer, _task) = connected(&server, options).await;
    client.emit("say", &1).await.expect("open");
    assert_eq!(peer.read().await, r#"{"event":"say","payload":1}"#);
}
