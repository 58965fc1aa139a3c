//! The trace of a caller goes on in the spans of its request and of the messages that it sends.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use tracing_subscriber::layer::SubscriberExt;

use super::fixture::{Cluster, send};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

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
    /// Name, trace and parent of each span, in the order of their ends.
    fn take(&self) -> Vec<(String, String, String)> {
        let spans = std::mem::take(&mut *self.0.lock());
        let seen = spans.into_iter().map(|span| {
            let trace = span.span_context.trace_id().to_string();
            (span.name.into_owned(), trace, span.parent_span_id.to_string())
        });
        seen.collect()
    }
}

#[tokio::test]
async fn a_trace_of_the_caller_goes_on_and_nothing_else_begins_one() {
    let kept = Kept::default();
    // As in production: only what a caller samples is recorded.
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let say = async |headers: &[(&str, &str)]| {
        let mut request =
            Request::post("/api/v1/rooms/chat/secret-room/messages").header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(r#"{"event":"secret-event"}"#));
        assert_eq!(send(&open, request.expect("a request")).await.status, 202);
        kept.take()
    };
    for wrong in [
        "",
        "00-zz",
        &format!("00-{TRACE}-{CALLER}-00"),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    ] {
        assert_eq!(say(&[("traceparent", wrong)]).await, [], "{wrong}");
    }
    let sampled = format!("00-{TRACE}-{CALLER}-01");
    for key in [None, Some(("idempotency-key", "k"))] {
        let headers: Vec<_> = [("traceparent", sampled.as_str())].into_iter().chain(key).collect();
        let spans = say(&headers).await;
        let named = |name: &str| {
            let found = spans.iter().find(|span| span.0 == name);
            found.unwrap_or_else(|| panic!("no {name} in {spans:?}"))
        };
        let (_, trace, parent) = named("POST /api/v1/rooms/{namespace}/{id}/messages");
        assert_eq!((trace.as_str(), parent.as_str()), (TRACE, CALLER));
        assert_eq!(named("publish room").1, TRACE);
        assert!(!format!("{spans:?}").contains("secret"));
    }
}
