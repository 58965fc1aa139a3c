use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prometheus::{IntCounter, Registry};
use tracing::level_filters::LevelFilter;

use super::*;
use crate::telemetry::receiver::{Answer, Got, LIMIT, environment, fine, nobody, receiver};
use crate::telemetry::written::logged;

fn read(pairs: &[(&str, &str)]) -> (Option<MetricConfig>, Vec<String>) {
    let mut problems = Vec::new();
    let config = MetricConfig::read(&environment(pairs), &mut problems);
    (config, problems)
}

const ON: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");

fn config(url: &str, more: &[(&str, &str)]) -> MetricConfig {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (config, problems) = read(&[&[ON, ("OTEL_EXPORTER_OTLP_ENDPOINT", url)], more].concat());
    assert_eq!(problems, [""; 0]);
    config.expect("it is on")
}

/// A place for servers, with one whose counter stands at 7.
fn sources() -> (&'static Sources, IntCounter) {
    let sources = Box::leak(Box::new(Sources::new()));
    sources.keep();
    (sources, server(sources))
}

fn server(sources: &Sources) -> IntCounter {
    let registry = Registry::new();
    let counter = IntCounter::new("wsmesh_sent_total", "Help.").expect("valid");
    counter.inc_by(7);
    registry.register(Box::new(counter.clone())).expect("registered");
    sources.add("ws-node", "ws-node-0", &registry);
    counter
}

fn decode(got: &Got) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(&got.body[..]).expect("OTLP")
}

/// Begin, in nanoseconds, and value of the counter.
fn sent(got: &Got) -> (u64, f64) {
    let metrics = decode(got).resource_metrics[0].scope_metrics[0].metrics.clone();
    let metric = metrics.into_iter().find(|metric| metric.name == "wsmesh_sent_total");
    let Some(Data::Sum(sum)) = metric.expect("it is there").data else {
        panic!("a sum")
    };
    let Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsDouble(value)) =
        sum.data_points[0].value
    else {
        panic!("a number")
    };
    (sum.data_points[0].start_time_unix_nano, value)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[test]
fn nothing_is_pushed_unless_it_is_asked_for() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    for pairs in [
        &[][..],
        &[endpoint],
        &[endpoint, ("OTEL_METRICS_EXPORTER", "none")],
        &[endpoint, ON, ("OTEL_SDK_DISABLED", "true")],
    ] {
        let (config, problems) = read(pairs);
        assert!(config.is_none() && problems.is_empty(), "{pairs:?}: {problems:?}");
    }
}

#[test]
fn what_cannot_be_done_is_rejected() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    for (name, value, advice) in [
        ("OTEL_METRICS_EXPORTER", "console", "write otlp or none"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60s", "write milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "at least 1000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "999", "at least 1000"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "-1", "write milliseconds"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "collector",
            "write http://HOST:4318/v1/metrics",
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "write http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd", "write gzip or none"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b,c", "write NAME=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0A", "write NAME=VALUE"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "delta",
            "write cumulative",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
            "write explicit_bucket_histogram",
        ),
    ] {
        let (_, problems) = read(&[ON, endpoint, (name, value)]);
        let [problem] = &problems[..] else {
            panic!("one problem with {name}={value}: {problems:?}");
        };
        assert!(problem.starts_with(name) && problem.contains(advice), "{problem}");
    }
    let (config, problems) = read(&[ON]);
    assert!(
        config.is_none() && problems.len() == 1 && problems[0].contains("needs a collector"),
        "{problems:?}"
    );
}

#[test]
fn a_server_is_pushed_with_its_names_its_totals_and_what_the_variables_ask_for() {
    let (url, requests) = receiver(&[fine()]);
    let url = url.replace("://", "://me:p%40ss@");
    let config = config(
        &url,
        &[
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue,x-all=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-tenant=a%2Cb"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.version=7"),
        ],
    );
    let (sources, _counter) = sources();
    let pushing = config.start(sources).expect("started");
    pushing.stop(LIMIT);
    let got = requests.recv_timeout(LIMIT).expect("one push at the end");
    for part in [
        "post /v1/metrics ",
        "content-type: application/x-protobuf",
        "x-tenant: a,b",
        "x-all: 1",
        "authorization: basic bwu6cebzcw==",
    ] {
        assert!(got.head.contains(part), "{part} is missing in {}", got.head);
    }
    let request = decode(&got);
    let resource = request.resource_metrics[0].resource.as_ref().expect("a resource");
    for (key, value) in [("service.name", "ws-node"), ("service.instance.id", "ws-node-0")] {
        assert_eq!(text(&resource.attributes, key), Some(value));
    }
    assert_ne!(
        text(&resource.attributes, "service.version"),
        Some(crate::VERSION),
        "the variable wins"
    );
    assert_eq!(sent(&got).1, 7.0);
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    for name in ["wsmesh_build_info", "process_cpu_seconds_total"] {
        assert!(metrics.iter().any(|metric| metric.name == name), "{name}");
    }
    assert!(requests.try_recv().is_err(), "only one push");
}

#[test]
fn pushes_follow_each_other_and_totals_keep_their_beginning() {
    let (url, requests) = receiver(&[fine()]);
    let (sources, counter) = sources();
    let pushing = MetricConfig {
        interval: Duration::from_millis(20),
        ..config(&url, &[])
    };
    let pushing = pushing.start(sources).expect("started");
    let first = sent(&requests.recv_timeout(LIMIT).expect("a push"));
    counter.inc();
    let grown = loop {
        let next = sent(&requests.recv_timeout(LIMIT).expect("another push"));
        assert_eq!(next.0, first.0, "the beginning stays");
        if next.1 > 7.0 {
            break next;
        }
    };
    assert_eq!(grown.1, 8.0);
    // Another server of this name begins anew.
    server(sources);
    let again = loop {
        let next = sent(&requests.recv_timeout(LIMIT).expect("another push"));
        if next.0 != first.0 {
            break next;
        }
    };
    assert!(again.0 > first.0 && again.1 == 7.0);
    pushing.stop(LIMIT);
}

#[test]
fn failures_are_told_apart_and_the_next_push_is_whole() {
    let rejected = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: "too old\n".repeat(100),
        }),
    };
    let answers = [
        Answer::Status(400, b"not shown".to_vec()),
        Answer::Status(200, rejected.encode_to_vec()),
        Answer::Status(200, b"no message of OTLP".to_vec()),
        fine(),
    ];
    let (url, requests) = receiver(&answers);
    let (sources, _counter) = sources();
    let mut pusher = config(&url, &[]).pusher(sources).expect("made");
    assert_eq!(pusher.push(), Err(Failure::Refused(StatusCode::BAD_REQUEST)));
    let Err(Failure::Rejected(part)) = pusher.push() else {
        panic!("a part was rejected")
    };
    assert_eq!(part.items, 3);
    assert!(
        part.why.starts_with("too old ") && !part.why.contains('\n'),
        "{}",
        part.why
    );
    assert!(part.why.len() < 400, "{}", part.why);
    for _ in 0..2 {
        assert_eq!(pusher.push(), Ok(()));
    }
    let values: Vec<f64> = requests.try_iter().map(|got| sent(&got).1).collect();
    assert_eq!(values, [7.0; 4]);
}

#[test]
fn a_collector_that_is_dead_or_hangs_delays_the_end_no_longer_than_its_limit() {
    let (silent, _requests) = receiver(&[Answer::Silence]);
    let (dead, _taken) = nobody();
    for url in [dead, silent] {
        let (sources, _counter) = sources();
        let pushing = MetricConfig {
            interval: Duration::from_millis(5),
            ..config(&url, &[("OTEL_METRIC_EXPORT_TIMEOUT", "300")])
        };
        let pushing = pushing.start(sources).expect("started");
        let begin = Instant::now();
        pushing.stop(Duration::from_secs(2));
        assert!(begin.elapsed() < LIMIT);
    }
}

/// Says each time that it is asked for its metrics, of which it has none.
struct Asked(Sender<()>);

impl prometheus::core::Collector for Asked {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        let _nobody_waits = self.0.send(());
        Vec::new()
    }
}

#[test]
fn a_collector_that_stays_away_is_logged_once_however_many_pushes_fail() {
    let (url, _taken) = nobody();
    let (sources, _counter) = sources();
    let (asked, pushes) = channel();
    let registry = Registry::new();
    registry.register(Box::new(Asked(asked))).expect("registered");
    sources.add("game-logic", "game-logic-0", &registry);
    let mut pusher = config(&url, &[]).pusher(sources).expect("made");
    // Each push is one attempt then.
    pusher.client.attempts().end();
    let (stop, stopped) = channel();
    let pushing =
        std::thread::spawn(move || logged(LevelFilter::WARN, || pusher.run(Duration::from_millis(5), &stopped)));
    for _ in 0..5 {
        pushes.recv_timeout(LIMIT).expect("another push");
    }
    drop(stop);
    let log = pushing.join().expect("no panic");
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("metrics cannot be sent"), "{log}");
}

#[test]
fn an_error_shows_neither_the_password_nor_the_query() {
    let (url, _taken) = nobody();
    let url = url.replace("://", "://me:p-s3cret@");
    let config = config(
        &format!("{url}/in?key=q-s3cret"),
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "300")],
    );
    let shown = format!("{config:?}");
    let (sources, _counter) = sources();
    let error = config.pusher(sources).expect("made").push().expect_err("nobody there");
    for text in [shown, format!("{error:?}")] {
        assert!(!text.contains("s3cret"), "shows a secret: {text}");
    }
}

#[test]
fn without_servers_nothing_is_sent() {
    let (url, requests) = receiver(&[fine()]);
    let sources: &'static Sources = Box::leak(Box::new(Sources::new()));
    assert_eq!(config(&url, &[]).pusher(sources).expect("made").push(), Ok(()));
    assert!(requests.try_recv().is_err());
}
