use opentelemetry_http::{Bytes, Response};
use opentelemetry_sdk::error::OTelSdkError;
use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;

use super::super::counts::TraceCounts;
use super::super::signal::Signal;
use super::super::written::logged;
use super::*;

/// Answers as told, by way of the attempts.
#[derive(Debug, Clone)]
struct Scripted {
    attempts: Arc<Attempts>,
    status: Arc<Mutex<Option<u16>>>,
}

impl SpanExporter for Scripted {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let status = *self.status.lock();
        let answer = self.attempts.send(Duration::ZERO, |_| match status {
            Some(status) => Ok(Response::builder().status(status).body(Bytes::new())?),
            None => Err("connection refused".into()),
        });
        match answer {
            Ok(response) if response.status().is_success() => Ok(()),
            _ => Err(OTelSdkError::InternalFailure("export failed".to_owned())),
        }
    }
}

/// What is logged while the collector answers in these ways, each time to a batch of this many spans that overflowed by that many.
fn log(answers: &[(Option<u16>, usize)]) -> (Vec<String>, TraceCounts) {
    let attempts = Arc::new(Attempts::new());
    // Nobody waits then.
    attempts.end();
    let (fill, counts) = (Arc::new(Fill::default()), TraceCounts::new());
    let scripted = Scripted {
        attempts: attempts.clone(),
        status: Arc::default(),
    };
    let exporter = Counted::new(
        scripted.clone(),
        attempts,
        fill.clone(),
        counts.spans.clone(),
        Outage::new(Signal::Traces, "http://c".to_owned()),
    );
    let text = logged(LevelFilter::TRACE, || {
        for (status, overflow) in answers {
            *scripted.status.lock() = *status;
            fill.put(3, *overflow);
            let spans = (0..3).map(|_| span()).collect();
            let _ = futures_util::FutureExt::now_or_never(SpanExporter::export(&exporter, spans))
                .expect("it does not wait");
        }
    });
    (text.lines().map(str::to_owned).collect(), counts)
}

fn span() -> SpanData {
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
    let now = std::time::SystemTime::now();
    SpanData {
        span_context: SpanContext::empty_context(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "span".into(),
        start_time: now,
        end_time: now,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: Default::default(),
    }
}

#[test]
fn each_change_is_logged_once_and_every_span_is_counted() {
    let (lines, counts) = log(&[
        (Some(200), 0),
        (None, 0),
        (None, 50),
        (None, 0),
        (Some(503), 0),
        (Some(429), 0),
        (Some(200), 7),
        (Some(200), 0),
    ]);
    let expected = [
        (
            "WARN",
            "traces cannot be sent and are dropped until they can",
            "connection refused",
        ),
        ("WARN", "the collector refuses traces", "503"),
        ("INFO", "traces are sent again", "http://c"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, (level, text, detail)) in lines.iter().zip(expected) {
        assert!(
            line.contains(level) && line.contains(text) && line.contains(detail),
            "{line}"
        );
    }
    assert_eq!(counts.spans.all(), (9, 9, 6));
}

#[test]
fn a_collector_that_cannot_keep_up_is_logged_once_although_the_queue_overflows_only_now_and_then() {
    let (lines, counts) = log(&[
        (Some(200), 0),
        (Some(200), 9),
        (Some(200), 0),
        (Some(200), 9),
        (Some(200), 0),
    ]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("more spans end than the collector takes"),
        "{lines:#?}"
    );
    assert_eq!(counts.spans.exported.get(), 15);
}
