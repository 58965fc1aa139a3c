//! A collector of traces: takes what servers send by OTLP over HTTP, and keeps the spans.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running collector; ends with the test.
#[derive(Debug)]
pub struct Collector {
    /// Where servers send their traces.
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    task: JoinHandle<()>,
}

/// One span.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Attributes of the server that sent it.
    pub resource: HashMap<String, String>,
    /// Its name.
    pub name: String,
    /// The id of its trace, in hex.
    pub trace: String,
    /// Its id, in hex.
    pub id: String,
    /// The id of its parent; empty if it has none.
    pub parent: String,
    /// The traces and spans that it links to.
    pub links: Vec<(String, String)>,
    /// When it began and ended, in nanoseconds.
    pub lasted: (u64, u64),
    /// Its attributes, as text.
    pub attributes: HashMap<String, String>,
}

impl Span {
    /// The server that sent it.
    pub fn server(&self) -> &str {
        self.resource.get("service.instance.id").map_or("", String::as_str)
    }

    /// An attribute; empty if there is none.
    pub fn says(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let kept = spans.clone();
        let app = Router::new().fallback(async move |body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
            kept.lock().extend(read(request));
        });
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, spans, task }
    }

    /// The variables of a server that sends its traces here soon, and decides like this about those that begin there.
    pub fn variables<'a>(&'a self, sampler: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().clone()
    }

    /// The spans of one trace so far.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        self.spans
            .lock()
            .iter()
            .filter(|span| span.trace == id)
            .cloned()
            .collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for from in request.resource_spans {
        let resource = attributes(&from.resource.unwrap_or_default().attributes);
        let sent = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(sent.map(|sent| span(&resource, &sent)));
    }
    spans
}

fn span(resource: &HashMap<String, String>, sent: &Sent) -> Span {
    let links = sent.links.iter();
    Span {
        resource: resource.clone(),
        name: sent.name.clone(),
        trace: hex(&sent.trace_id),
        id: hex(&sent.span_id),
        parent: hex(&sent.parent_span_id),
        links: links.map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        lasted: (sent.start_time_unix_nano, sent.end_time_unix_nano),
        attributes: attributes(&sent.attributes),
    }
}

fn attributes(sent: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    };
    let read = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default());
    sent.iter().map(read).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
