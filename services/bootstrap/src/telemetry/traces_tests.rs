use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Waker};

use opentelemetry::trace::{Span as _, Tracer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter as _;
use prost::Message;
use tracing_subscriber::layer::SubscriberExt;

use super::super::receiver::{LIMIT, nobody};
use super::super::written::logged;
use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(pairs: &[(&str, &str)]) -> (Option<TraceConfig>, Vec<String>) {
    let mut problems = Vec::new();
    let config = TraceConfig::read(&environment(pairs), "ws-node", "ws-node-0", &mut problems);
    (config, problems)
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");

#[test]
fn nothing_is_exported_without_an_endpoint_or_when_disabled() {
    for pairs in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
        &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
        &[("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_SAMPLER", "nonsense")],
    ] {
        let (config, problems) = read(pairs);
        assert!(config.is_none() && problems.is_empty(), "{pairs:?}: {problems:?}");
    }
}

#[test]
fn the_endpoint_for_traces_is_taken_as_it_is_and_the_general_one_gets_the_path() {
    let endpoint = |pairs: &[(&str, &str)]| {
        let collector = read(pairs).0.expect("an endpoint").collector;
        collector.endpoint.as_url().to_string()
    };
    assert_eq!(endpoint(&[ENDPOINT]), "http://127.0.0.1:4318/v1/traces");
    let with_query = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/in/?key=a&b=c");
    assert_eq!(endpoint(&[with_query]), "http://127.0.0.1:4318/in/v1/traces?key=a&b=c");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example.com/in");
    assert_eq!(endpoint(&[ENDPOINT, own]), "https://traces.example.com/in");
}

#[test]
fn values_that_the_sdk_would_silently_misread_are_rejected() {
    for (name, value, advice) in [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "localhost:4318",
            "write http://HOST:4318",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "jaeger", "write http://HOST:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "write http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "write otlp or none"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "write parentbased_traceidratio"),
        ("OTEL_PROPAGATORS", "b3", "write tracecontext"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br", "write gzip or none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd", "write gzip or none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "write milliseconds"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "at least 1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "write milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "a whole number"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000001", "at most 1000000"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1.5", "a whole number"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization: Basic x",
            "write NAME=VALUE",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,c d=e", "write NAME=VALUE"),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/nowhere/ca.pem",
            "cannot read /nowhere/ca.pem",
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/dev/null",
            "no certificate in PEM form",
        ),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "/dev/null",
            "name the other one, too",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "/dev/null",
            "name the other one, too",
        ),
    ] {
        let (_, problems) = read(&[ENDPOINT, (name, value)]);
        let [problem] = &problems[..] else {
            panic!("one problem with {name}={value}: {problems:?}");
        };
        assert!(problem.starts_with(name) && problem.contains(advice), "{problem}");
    }
    let ratio = [
        ENDPOINT,
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ];
    assert_eq!(read(&ratio).1.len(), 1);
    let pair = ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];
    let (_, problems) = read(&[ENDPOINT, (pair[0], "/dev/null"), (pair[1], "/dev/null")]);
    assert!(
        problems.len() == 1 && problems[0].contains("in PEM form"),
        "{problems:?}"
    );
    let fine = [
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%2Cb, x=y=z"),
    ];
    let (config, problems) = read(&fine);
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        config.expect("an endpoint").collector.timeout,
        Duration::from_millis(2_500)
    );
}

#[test]
fn a_problem_with_an_endpoint_shows_nothing_of_it() {
    for text in ["me:s3cret@host:4318", "http://me:s3/cret@host", "//me:s3cret@host"] {
        let (_, problems) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]);
        assert!(
            problems.len() == 1 && !problems[0].contains("cret"),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn the_sampler_is_the_one_that_was_asked_for() {
    let sampler = |pairs: &[(&str, &str)]| format!("{:?}", read(pairs).0.expect("an endpoint").sampler);
    assert_eq!(sampler(&[ENDPOINT]), "ParentBased(AlwaysOn)");
    let ratio = [
        ENDPOINT,
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    assert_eq!(sampler(&ratio), "ParentBased(TraceIdRatioBased(0.25))");
}

#[test]
fn variables_win_over_our_names() {
    let keys = |pairs: &[(&str, &str)]| -> Vec<String> {
        let attributes = read(pairs).0.expect("an endpoint").attributes;
        attributes.iter().map(|attribute| attribute.key.to_string()).collect()
    };
    assert_eq!(
        keys(&[ENDPOINT]),
        ["service.name", "service.instance.id", "service.version"]
    );
    let named = [
        ENDPOINT,
        ("OTEL_SERVICE_NAME", "edge"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.version=7"),
    ];
    assert_eq!(keys(&named), ["service.instance.id"]);
}

/// Answers every request with 200 and hands over what was sent.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (head, body) = request(&mut stream);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .expect("written");
            if sender.send((head, body)).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn request(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).expect("a request");
        assert!(count > 0, "the request ended early");
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .expect("a length");
        let length: usize = length.trim().parse().expect("a number");
        if bytes.len() >= end + 4 + length {
            return (head, bytes.split_off(end + 4));
        }
    }
}

#[test]
fn spans_arrive_at_v1_traces_when_the_process_ends_without_what_the_audit_says() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, requests) = collector();
    let (config, problems) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url)]);
    assert_eq!(problems, [""; 0]);
    let provider = config.expect("an endpoint").provider().expect("valid");
    let subscriber = tracing_subscriber::registry().with(layer(&provider));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("ws.receive", otel.name = "ws.receive gamePing").in_scope(|| {
            tracing::info!("an event of it");
            tracing::info!(target: "audit", object = "client ann", "told");
        });
        tracing::info_span!(target: "hyper", "noise").in_scope(|| ());
    });
    stop(&provider);
    let (head, body) = requests.recv_timeout(FLUSH).expect("one request");
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let body = String::from_utf8_lossy(&body);
    for part in ["ws.receive gamePing", "an event of it", "ws-node-0", "service.version"] {
        assert!(body.contains(part), "{part} is missing in {body}");
    }
    for part in ["noise", "client ann"] {
        assert!(!body.contains(part), "{part} is in {body}");
    }
}

#[test]
fn batches_and_limits_of_spans_are_as_the_given_variables_say_and_not_those_of_the_process() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, requests) = collector();
    let (config, problems) = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("OTEL_BSP_SCHEDULE_DELAY", " 60000 "),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", " 2 "),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", " 1 "),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", " 0 "),
    ]);
    assert_eq!(problems, [""; 0]);
    let provider = config.expect("an endpoint").provider().expect("valid");
    let tracer = provider.tracer("test");
    for _ in 0..2 {
        let mut span = tracer.start("span");
        span.set_attribute(KeyValue::new("first", 1));
        span.set_attribute(KeyValue::new("second", 2));
        span.add_event("told", Vec::new());
    }
    // Long before its time is over, as there are enough.
    let (_, body) = requests.recv_timeout(LIMIT).expect("a batch");
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!((span.attributes.len(), span.dropped_attributes_count), (1, 1));
        assert_eq!((span.events.len(), span.dropped_events_count), (0, 1));
    }
    stop(&provider);
}

/// Sends nothing, once.
fn export(config: &TraceConfig) -> OTelSdkResult {
    let sender = config.collector.client().expect("valid");
    let exporter = config.exporter(sender, &Arc::default(), &TraceCounts::new());
    let exporter = exporter.expect("valid");
    let sending = pin!(exporter.export(Vec::new()));
    match sending.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it blocks"),
    }
}

#[test]
fn user_password_and_query_of_the_endpoint_are_used() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, requests) = collector();
    let endpoint = format!("{}/in?key=s3cret", url.replace("://", "://me:p%40ss@"));
    let (config, problems) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    assert_eq!(problems, [""; 0]);
    export(&config.expect("an endpoint")).expect("sent");
    let (head, _) = requests.recv_timeout(FLUSH).expect("one request");
    assert!(head.starts_with("post /in/v1/traces?key=s3cret "), "{head}");
    // The base64 of me:p@ss, in lower case as all of the head.
    assert!(head.contains("authorization: basic bwu6cebzcw=="), "{head}");
}

#[test]
fn an_endpoint_that_fails_is_logged_without_user_password_and_query() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, _taken) = nobody();
    let address = url.trim_start_matches("http://");
    let endpoint = format!("http://me-s3cret:p-s3cret@{address}/in?key=q-s3cret");
    let (config, problems) = read(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
    ]);
    assert_eq!(problems, [""; 0]);
    let config = config.expect("an endpoint");
    let shown = format!("{config:?}");
    let mut result = Ok(());
    let log = logged(LevelFilter::TRACE, || result = export(&config));
    let error = result.expect_err("nobody there");
    assert!(log.contains(&format!("http://{address}/in/v1/traces?…")), "{log}");
    for text in [log, error.to_string(), shown] {
        assert!(!text.contains("s3cret"), "shows a secret: {text}");
    }
}
