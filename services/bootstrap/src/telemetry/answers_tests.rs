//! What collectors answer, over real sockets: they send elsewhere, take a part, or say nothing for longer than a batch may take.

use std::io::Write;
use std::time::Instant;

use opentelemetry::trace::Tracer;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use parking_lot::Mutex;
use prost::Message;
use tracing_subscriber::layer::SubscriberExt;

use super::super::receiver::{Answer, LIMIT, environment, fine, receiver};
use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

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
    let counts = TraceCounts::new();
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_filter(LevelFilter::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let sender = config.collector.client().expect("valid");
        let fill = Arc::default();
        let exporter = config.exporter(sender, &fill, &counts).expect("valid");
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
        let tracer = provider.tracer("test");
        for _ in 0..times {
            fill.put(1, 0);
            drop(tracer.start("span"));
        }
    });
    let text = String::from_utf8(log.0.lock().clone()).expect("text");
    (text, counts)
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

#[test]
fn the_limit_of_an_export_holds_for_every_signal() {
    for signal in Signal::ALL {
        for (of_export, of_request, expected) in [
            (Some("300"), None, 300),
            (Some("20000"), None, 10_000),
            (None, Some("7"), 7),
        ] {
            let own = format!("OTEL_EXPORTER_OTLP_{}_TIMEOUT", signal.variable());
            let variable = |key: &str| match key {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://127.0.0.1:4318"),
                key if key == signal.export_timeout() => of_export,
                key if key == own => of_request,
                _ => None,
            };
            let mut problems = Vec::new();
            let collector = Collector::read(signal, variable, &mut problems).expect("an endpoint");
            assert_eq!(problems, [""; 0]);
            assert_eq!(collector.timeout, Duration::from_millis(expected), "{signal:?}");
        }
    }
}
