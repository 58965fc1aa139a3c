//! What collectors answer, over real sockets: they send elsewhere, take a part, or say nothing for longer than a batch may take.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message;
use tracing::level_filters::LevelFilter;

use super::counts::TraceCounts;
use super::queue::Fill;
use super::receiver::{Answer, LIMIT, environment, fine, receiver};
use super::traces::TraceConfig;
use super::written::logged;

fn config(url: &str, more: &[(&str, &str)]) -> TraceConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut problems = Vec::new();
    let variables = environment(&[&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)], more].concat());
    let config = TraceConfig::read(&variables, "test", "test-0", &mut problems);
    assert_eq!(problems, [""; 0]);
    config.expect("an endpoint")
}

/// Sends a span at once for each time, and returns what is logged about it.
fn send(config: &TraceConfig, times: usize) -> (String, TraceCounts) {
    send_with(config, LevelFilter::INFO, times, &[])
}

/// The same with these attributes, and with what is logged down to this level.
fn send_with(
    config: &TraceConfig,
    level: LevelFilter,
    times: usize,
    attributes: &[(&'static str, &'static str)],
) -> (String, TraceCounts) {
    let counts = TraceCounts::new();
    let log = logged(level, || {
        let sender = config.collector().client().expect("valid");
        let fill: Arc<Fill> = Arc::default();
        let exporter = config.exporter(sender, &fill, &counts).expect("valid");
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
        let tracer = provider.tracer("test");
        for _ in 0..times {
            fill.put(1, 0);
            let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, *value));
            drop(tracer.span_builder("span").with_attributes(attributes).start(&tracer));
        }
    });
    (log, counts)
}

#[test]
fn an_answer_that_leads_elsewhere_is_not_followed_and_is_told() {
    let (elsewhere, arrived) = receiver(&[fine()]);
    for status in [301, 302, 307, 308] {
        let (url, asked) = receiver(&[Answer::Elsewhere(status, format!("{elsewhere}/v1/traces"))]);
        let secret = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer s3cret");
        let (log, counts) = send(&config(&url, &[secret]), 1);
        asked.recv_timeout(LIMIT).expect("it was asked");
        for part in ["the collector refuses traces", &status.to_string(), "elsewhere"] {
            assert!(log.contains(part), "{part} in {log}");
        }
        assert!(!log.contains("s3cret"), "{log}");
        assert_eq!(counts.spans.all(), (0, 0, 1));
    }
    assert!(arrived.try_recv().is_err(), "what is secret went elsewhere");
}

#[test]
fn spans_that_the_collector_rejects_count_as_refused_and_are_told_once() {
    let rejected = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "no room".to_owned(),
        }),
    };
    let rejected = Answer::Status(200, rejected.encode_to_vec());
    let (url, _asked) = receiver(&[fine(), rejected.clone(), fine(), rejected, fine()]);
    let (log, counts) = send(&config(&url, &[]), 5);
    assert_eq!(counts.spans.all(), (3, 0, 2), "{log}");
    assert_eq!(
        log.matches("the collector rejects some of the traces").count(),
        1,
        "{log}"
    );
    assert!(log.contains("no room") && log.contains("rejected=1"), "{log}");
}

#[test]
fn a_collector_that_refuses_only_redis_holds_up_nothing_and_gets_its_spans_once() {
    let publish = [
        ("messaging.system", "redis"),
        ("messaging.operation.name", "publish"),
        ("wsmesh.node", "redis-0"),
        ("server.address", "redis-0.redis"),
    ];
    // It may be asked again, so that waiting for that would show.
    let refused = Answer::Status(503, Vec::new());
    let answers = [fine(), refused.clone(), fine(), refused, fine(), fine()];
    let (url, requests) = receiver(&answers);
    let (log, counts) = send_with(&config(&url, &[]), LevelFilter::DEBUG, 3, &publish);
    assert_eq!(counts.spans.all(), (3, 0, 0), "{log}");
    let of_redis: Vec<bool> = requests
        .try_iter()
        .map(|got| String::from_utf8_lossy(&got.body).contains("PUBLISH"))
        .collect();
    assert_eq!(of_redis, [false, true, false, true, false, true], "each of them once");
    assert_eq!(log.matches("the spans of the service redis").count(), 1, "{log}");
    assert!(!log.contains("WARN") && !log.contains("INFO"), "{log}");
}

#[test]
fn a_batch_is_given_up_after_the_narrower_of_its_limits() {
    let long = "60000";
    for limits in [
        [("OTEL_BSP_EXPORT_TIMEOUT", "300"), ("OTEL_EXPORTER_OTLP_TIMEOUT", long)],
        [
            ("OTEL_BSP_EXPORT_TIMEOUT", long),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "300"),
        ],
    ] {
        let (url, _asked) = receiver(&[Answer::Silence]);
        let begin = Instant::now();
        let (log, counts) = send(&config(&url, &limits), 1);
        assert!(begin.elapsed() < LIMIT, "{limits:?}: {:?}", begin.elapsed());
        assert_eq!(counts.spans.all(), (0, 1, 0), "{limits:?}: {log}");
    }
}
