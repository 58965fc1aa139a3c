//! Shows Redis as a service of its own: views of services draw a line between two services only where a span of one has a child in the
//! other, and Redis itself sends no spans.
//!
//! So a span of Redis is added below each sampled publish that a Redis took, with the times of the publish, and says which server measured
//! it. It is made where spans are sent, so it costs publishers nothing, and only if the spans that it belongs to were taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter, SpanLinks};

/// What Redis is called.
const SERVICE: &str = "redis";

/// What the spans of Redis share with those of the server that measured them.
const SHARED: [&str; 3] = ["service.namespace", "deployment.environment.name", "k8s.cluster.name"];

/// Sends the spans of this server, and those of Redis that belong to them.
#[derive(Debug)]
pub(super) struct WithRedis<E, R> {
    own: E,
    redis: R,
    /// Whether the last spans of Redis were not taken.
    fails: AtomicBool,
}

impl<E, R> WithRedis<E, R> {
    /// Two exporters to the same collector: what an exporter sends is all of one service. Only the first one counts what becomes of spans,
    /// and the second one must not make it wait: a collector may refuse one service only.
    pub(super) fn new(own: E, redis: R) -> Self {
        Self {
            own,
            redis,
            fails: AtomicBool::new(false),
        }
    }

    /// Logs the first failure after a success, for those who look for the spans. They say nothing that the others do not say.
    fn tell(&self, result: &OTelSdkResult) {
        let failed_before = self.fails.swap(result.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (result, failed_before) {
            tracing::debug!(%error, "the collector does not take the spans of the service {SERVICE}");
        }
    }
}

impl<E: SpanExporter, R: SpanExporter> SpanExporter for WithRedis<E, R> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let of_redis: Vec<_> = batch.iter().filter_map(span_of_redis).collect();
        self.own.export(batch).await?;
        if !of_redis.is_empty() {
            self.tell(&self.redis.export(of_redis).await);
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let redis = self.redis.shutdown_with_timeout(timeout);
        self.own.shutdown_with_timeout(timeout).and(redis)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.own.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        let shared = resource.iter().filter(|(key, _)| SHARED.contains(&key.as_str()));
        let shared = shared.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let redis = Resource::builder_empty()
            .with_service_name(SERVICE)
            .with_attributes(shared)
            .build();
        self.redis.set_resource(&redis);
        self.own.set_resource(resource);
    }
}

/// The span of Redis for a publish that a Redis took; the embedded bus has no address.
fn span_of_redis(publish: &SpanData) -> Option<SpanData> {
    let of = |key: &str| publish.attributes.iter().find(|fact| fact.key.as_str() == key);
    let is = |key: &str, value: &'static str| of(key).is_some_and(|fact| fact.value == Value::from(value));
    if !is("messaging.system", "redis") || !is("messaging.operation.name", "publish") {
        return None;
    }
    let (address, node) = (of("server.address")?, of("wsmesh.node")?);
    let mut attributes = vec![
        KeyValue::new("db.system.name", "redis"),
        KeyValue::new("db.operation.name", "PUBLISH"),
        address.clone(),
        node.clone(),
    ];
    attributes.extend(of("server.port").cloned());
    let measured_by = of("messaging.client.id").map(|server| KeyValue::new("wsmesh.measured_by", server.value.clone()));
    attributes.extend(measured_by);
    let context = &publish.span_context;
    Some(SpanData {
        span_context: SpanContext::new(
            context.trace_id(),
            id_below(context.span_id()),
            context.trace_flags(),
            false,
            context.trace_state().clone(),
        ),
        parent_span_id: context.span_id(),
        parent_span_is_remote: true,
        span_kind: SpanKind::Server,
        name: "PUBLISH".into(),
        start_time: publish.start_time,
        end_time: publish.end_time,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: publish.instrumentation_scope.clone(),
    })
}

/// The id of the span of Redis below a publish: always the same, so that a batch that is sent twice adds no span.
fn id_below(publish: SpanId) -> SpanId {
    let id = u64::from_be_bytes(publish.to_bytes());
    SpanId::from_bytes(id.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use parking_lot::Mutex;

    use super::*;

    /// Keeps spans with the name of their service; fails if it is told to.
    #[derive(Debug, Clone, Default)]
    struct Received {
        spans: Arc<Mutex<Vec<(String, SpanData)>>>,
        service: String,
        fails: bool,
    }

    impl SpanExporter for Received {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.fails {
                return Err(OTelSdkError::InternalFailure("refused".to_owned()));
            }
            let spans = batch.into_iter().map(|span| (self.service.clone(), span));
            self.spans.lock().extend(spans);
            Ok(())
        }

        fn set_resource(&mut self, resource: &Resource) {
            self.service = resource.iter().map(|(key, value)| format!("{key}={value} ")).collect();
        }
    }

    /// Sends the span of a publish with these facts more, and returns what was sent.
    fn sent(fails: bool, facts: &[(&'static str, &'static str)]) -> Vec<(String, SpanData)> {
        let kept = Received {
            fails,
            ..Received::default()
        };
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(WithRedis::new(
                kept.clone(),
                Received {
                    fails: false,
                    ..kept.clone()
                },
            ))
            .with_resource(
                Resource::builder_empty()
                    .with_service_name("ws-node")
                    .with_attribute(KeyValue::new("service.namespace", "shop"))
                    .with_attribute(KeyValue::new("service.instance.id", "ws-0"))
                    .build(),
            )
            .build();
        let tracer = provider.tracer("tests");
        let facts = facts.iter().map(|(key, value)| KeyValue::new(*key, *value));
        drop(
            tracer
                .span_builder("publish room")
                .with_attributes(facts)
                .start(&tracer),
        );
        std::mem::take(&mut *kept.spans.lock())
    }

    const PUBLISH: [(&str, &str); 3] = [
        ("messaging.system", "redis"),
        ("messaging.operation.name", "publish"),
        ("messaging.client.id", "ws-0"),
    ];
    const TAKEN: [(&str, &str); 2] = [("wsmesh.node", "redis-0"), ("server.address", "redis-0.redis")];

    #[test]
    fn a_publish_that_a_redis_took_has_a_span_of_redis_below_it_that_says_who_measured_it() {
        let spans = sent(false, &[PUBLISH.as_slice(), &TAKEN].concat());
        let [(_, publish), (service, redis)] = spans.as_slice() else {
            panic!("{spans:?}");
        };
        assert!(
            service.contains("service.name=redis ") && service.contains("service.namespace=shop "),
            "{service}"
        );
        assert!(!service.contains("instance"), "{service}");
        assert_eq!(redis.parent_span_id, publish.span_context.span_id());
        assert_eq!(redis.span_context.trace_id(), publish.span_context.trace_id());
        assert_ne!(redis.span_context.span_id(), publish.span_context.span_id());
        assert_eq!(
            (redis.start_time, redis.end_time),
            (publish.start_time, publish.end_time)
        );
        for fact in [
            ("wsmesh.measured_by", "ws-0"),
            ("wsmesh.node", "redis-0"),
            ("server.address", "redis-0.redis"),
        ] {
            assert!(
                redis.attributes.contains(&KeyValue::new(fact.0, fact.1)),
                "{:?}",
                redis.attributes
            );
        }
    }

    #[test]
    fn what_no_redis_took_and_what_the_collector_refuses_has_none() {
        assert_eq!(sent(false, &PUBLISH).len(), 1, "no node took it");
        assert_eq!(
            sent(false, &[PUBLISH.as_slice(), &TAKEN[..1]].concat()).len(),
            1,
            "the embedded bus"
        );
        assert_eq!(sent(false, &TAKEN).len(), 1, "a span of something else");
        assert_eq!(
            sent(true, &[PUBLISH.as_slice(), &TAKEN].concat()).len(),
            0,
            "the collector refuses"
        );
    }
}
