use std::time::Instant;

use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use super::super::counts::new_pushed_lines;
use super::super::receiver::{Answer, Got, LIMIT, environment, fine, nobody, receiver};
use super::super::{FLUSH, logs};
use super::*;
use crate::config::LogConfig;

fn read(pairs: &[(&str, &str)]) -> (Option<PushedLogs>, Vec<String>) {
    let mut problems = Vec::new();
    let config = PushedLogs::read(&environment(pairs), "ws-node", "ws-node-0", &mut problems);
    (config, problems)
}

fn pushing(url: &str, more: &[(&str, &str)]) -> LogPush {
    counting(url, more).0
}

fn counting(url: &str, more: &[(&str, &str)]) -> (LogPush, Results) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let on = [("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
    let (config, problems) = read(&[&on, more].concat());
    assert_eq!(problems, [""; 0]);
    let results = new_pushed_lines();
    let push = config.expect("it is on").start_counting(&results);
    (push.expect("started"), results)
}

/// Runs with logs as a process has them, at the level `info`, and traces.
fn logging(pushing: &LogPush, run: impl FnOnce()) {
    let config = LogConfig::default();
    let filter = logs::filter::<Registry>(&config.level);
    let traces = SdkTracerProvider::builder().build();
    let subscriber = tracing_subscriber::registry()
        .with(logs::layer(&config, "ws-node-0", filter, Some(pushing.layer())))
        .with(tracing_opentelemetry::layer().with_tracer(traces.tracer("test")));
    tracing::subscriber::with_default(subscriber, run);
}

fn records(got: &Got) -> Vec<LogRecord> {
    let request = ExportLogsServiceRequest::decode(&got.body[..]).expect("OTLP");
    let scopes = request
        .resource_logs
        .into_iter()
        .flat_map(|resource| resource.scope_logs);
    scopes.flat_map(|scope| scope.log_records).collect()
}

fn body(record: &LogRecord) -> &str {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn lines_of_the_console_arrive_with_their_fields_and_their_trace() {
    let (url, requests) = receiver(&[fine()]);
    let pushing = pushing(&url, &[("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none")]);
    logging(&pushing, || {
        tracing::debug!("too detailed");
        tracing::info!(count = 3, "outside");
        tracing::info_span!("work").in_scope(|| tracing::warn!("inside"));
    });
    pushing.stop(FLUSH);
    let got = requests.recv_timeout(LIMIT).expect("a request");
    assert!(got.head.starts_with("post /v1/logs "), "{}", got.head);
    let text = String::from_utf8_lossy(&got.body).into_owned();
    assert!(
        text.contains("service.instance.id") && text.contains("ws-node-0"),
        "{text}"
    );
    let records = records(&got);
    let [outside, inside] = &records[..] else {
        panic!("two lines: {records:?}")
    };
    assert_eq!((body(outside), body(inside)), ("outside", "inside"));
    assert_eq!((&*outside.severity_text, &*inside.severity_text), ("INFO", "WARN"));
    assert_eq!(outside.attributes[0].key, "count");
    assert!(outside.trace_id.is_empty());
    assert_eq!((inside.trace_id.len(), inside.span_id.len(), inside.flags), (16, 8, 1));
}

#[test]
fn lines_about_sending_are_not_sent_as_they_would_never_end() {
    let (url, requests) = receiver(&[fine()]);
    let pushing = pushing(&url, &[]);
    logging(&pushing, || {
        tracing::info!(target: "hyper_util::client", "sent a request");
        tracing::info!(target: "mio::poll", "read");
        tracing::warn!(target: "hyper", "in trouble");
    });
    pushing.stop(FLUSH);
    let records = records(&requests.recv_timeout(LIMIT).expect("a request"));
    assert_eq!(records.iter().map(body).collect::<Vec<_>>(), ["in trouble"]);
}

#[test]
fn a_collector_that_is_dead_or_hangs_holds_up_neither_a_line_nor_the_end() {
    let (silent, _requests) = receiver(&[Answer::Silence]);
    let (dead, _taken) = nobody();
    for url in [dead, silent] {
        let (pushing, results) = counting(&url, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")]);
        let begin = Instant::now();
        // Not the subscriber of a process: it would write them all.
        let subscriber = tracing_subscriber::registry().with(pushing.layer());
        tracing::subscriber::with_default(subscriber, || {
            // More than wait at most.
            for number in 0..10_000 {
                tracing::info!(number, "a line");
            }
        });
        let (exported, dropped, refused) = results.all();
        assert!(
            (exported, refused) == (0, 0) && dropped >= 10_000 - 2 * 2_048,
            "{dropped}"
        );
        pushing.stop(Duration::from_millis(200));
        assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    }
}

/// How many lines were exported, dropped and refused when three were logged and the collector answered this.
fn results_of(answer: Answer) -> (u64, u64, u64) {
    let (url, requests) = receiver(&[answer]);
    // All three in one batch, also if this thread is held up.
    let (pushing, results) = counting(&url, &[("OTEL_BLRP_SCHEDULE_DELAY", "60000")]);
    let subscriber = tracing_subscriber::registry().with(pushing.layer());
    tracing::subscriber::with_default(subscriber, || {
        (0..3).for_each(|number| tracing::info!(number, "a line"));
    });
    pushing.stop(LIMIT);
    assert!(requests.try_recv().is_ok(), "a request");
    results.all()
}

#[test]
fn every_line_is_counted_by_what_came_of_it() {
    let rejected = |items| {
        let partial_success = Some(ExportLogsPartialSuccess {
            rejected_log_records: items,
            error_message: "too old".to_owned(),
        });
        Answer::Status(200, ExportLogsServiceResponse { partial_success }.encode_to_vec())
    };
    assert_eq!(results_of(fine()), (3, 0, 0));
    assert_eq!(results_of(rejected(2)), (1, 0, 2));
    assert_eq!(results_of(rejected(1_000)), (0, 0, 3), "there were only three");
    assert_eq!(results_of(Answer::Status(400, Vec::new())), (0, 0, 3));
    let (url, _taken) = nobody();
    let (pushing, results) = counting(&url, &[]);
    let subscriber = tracing_subscriber::registry().with(pushing.layer());
    tracing::subscriber::with_default(subscriber, || tracing::info!("a line"));
    pushing.stop(LIMIT);
    assert_eq!(results.all(), (0, 1, 0));
}

#[test]
fn batches_are_as_the_given_variables_say_and_not_those_of_the_process() {
    let (url, requests) = receiver(&[fine()]);
    let variables = [
        ("OTEL_BLRP_SCHEDULE_DELAY", " 60000 "),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", " 2 "),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", " 3 "),
    ];
    let (pushing, results) = counting(&url, &variables);
    let subscriber = tracing_subscriber::registry().with(pushing.layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("the first");
        tracing::info!("the second");
    });
    // Long before its time is over, as there are enough.
    let first = requests.recv_timeout(LIMIT).expect("a batch");
    assert_eq!(
        records(&first).iter().map(body).collect::<Vec<_>>(),
        ["the first", "the second"]
    );
    pushing.stop(LIMIT);
    assert_eq!(results.all(), (2, 0, 0));
}

#[test]
fn nothing_is_pushed_unless_it_is_asked_for_and_mistakes_are_rejected() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let on = ("OTEL_LOGS_EXPORTER", "otlp");
    for pairs in [&[endpoint][..], &[endpoint, on, ("OTEL_SDK_DISABLED", "true")], &[]] {
        let (config, problems) = read(pairs);
        assert!(config.is_none() && problems.is_empty(), "{pairs:?}: {problems:?}");
    }
    for (pairs, advice) in [
        (&[on][..], "needs a collector"),
        (&[("OTEL_LOGS_EXPORTER", "console")], "write otlp or none"),
        (
            &[on, endpoint, ("OTEL_BLRP_SCHEDULE_DELAY", "1s")],
            "write milliseconds",
        ),
        (&[on, endpoint, ("OTEL_BLRP_MAX_QUEUE_SIZE", "0")], "at least 1"),
        (
            &[on, endpoint, ("OTEL_BLRP_MAX_QUEUE_SIZE", "1000001")],
            "at most 1000000",
        ),
        (
            &[on, endpoint, ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")],
            "write http/protobuf",
        ),
        (&[on, ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "x")], "4318/v1/logs"),
    ] {
        let (_, problems) = read(pairs);
        assert!(
            problems.len() == 1 && problems[0].contains(advice),
            "{pairs:?}: {problems:?}"
        );
    }
}
