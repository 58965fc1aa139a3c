//! Logs on stderr: text for people, JSON for machines. A line carries the ids of its trace while that is recorded.

use std::fmt;
use std::io::IsTerminal;

use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

use super::pushed_logs::Bridge;
use crate::config::{LogConfig, LogFormat, LogLevel};

/// The layer that writes logs as configured, and pushes them if they are pushed. Each line has the server's name. Its filter is its
/// own: events that are not logged may still be traced. It takes no spans: without an exporter of traces, a span costs nothing.
pub(super) fn layer<S, F>(
    config: &LogConfig,
    server: &str,
    filter: F,
    pushed: Option<Bridge>,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    F: Filter<S> + Send + Sync + 'static,
{
    let is_text = match config.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let written = if is_text {
        let text = text(server, std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        text.log_internal_errors(false).boxed()
    } else {
        json(server, std::io::stderr).boxed()
    };
    match pushed {
        Some(pushed) => written.and_then(pushed).with_filter(filter).boxed(),
        None => written.with_filter(filter).boxed(),
    }
}

/// The filter of a level, for events. It declares its lowest level: otherwise every library would format its lines down to TRACE
/// only for them to be dropped.
pub(super) fn filter<S>(level: &LogLevel) -> impl Filter<S> + use<S> {
    let chosen = level.filter();
    let lowest = chosen.max_level_hint().unwrap_or(LevelFilter::TRACE);
    chosen.and(filter_fn(is_wanted).with_max_level_hint(lowest))
}

/// Libraries whose TRACE lines contain what clients send. That includes tokens, so these lines can never be turned on.
const LOGS_PAYLOADS: [&str; 1] = ["tungstenite"];

fn is_wanted(about: &Metadata<'_>) -> bool {
    let has_payload = || LOGS_PAYLOADS.iter().any(|library| about.target().starts_with(library));
    about.is_event() && !(*about.level() == Level::TRACE && has_payload())
}

fn text<S, W>(server: &str, writer: W) -> tracing_subscriber::fmt::Layer<S, DefaultFields, WithServer, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    let server = server.to_owned();
    let format = Format::default();
    tracing_subscriber::fmt::layer()
        .event_format(WithServer { server, format })
        .with_writer(writer)
}

/// The text format of tracing-subscriber after the server's name, as several servers may share a terminal.
struct WithServer {
    server: String,
    format: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for WithServer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{} ", self.server)?;
        let Some(Recorded { span, is_named: false }) = recorded(event) else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        // The line is a writer of its own, which knows nothing of the terminal.
        let format = self.format.clone().with_ansi(writer.has_ansi_escapes());
        format.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} trace_id={}", line.trim_end_matches('\n'), span.trace_id())
    }
}

/// The span that is recorded where a line is logged.
struct Recorded {
    span: SpanContext,
    /// Whether the line has the id of the trace already.
    is_named: bool,
}

/// The span that is recorded here, if there is one. None for a line that names another trace: it is not about this span.
fn recorded(event: &Event<'_>) -> Option<Recorded> {
    let span = opentelemetry::Context::map_current(|context| {
        let span = context.span();
        let about = span.span_context();
        (about.is_valid() && (about.is_sampled() || span.is_recording())).then(|| about.clone())
    })?;
    let mut own = OwnTrace(None);
    if event.metadata().fields().field(TRACE_ID).is_some() {
        event.record(&mut own);
    }
    let is_named = own.0.is_some();
    let is_same = own.0.is_none_or(|id| id == span.trace_id().to_string());
    is_same.then_some(Recorded { span, is_named })
}

/// The field of a line with the id of its trace.
const TRACE_ID: &str = "trace_id";

/// The trace that a line names itself, as one of the audit names that of the request it tells of, also later and elsewhere.
struct OwnTrace(Option<String>);

impl Visit for OwnTrace {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TRACE_ID {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == TRACE_ID {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

fn json<S, W>(server: &str, writer: W) -> impl Layer<S> + Send + Sync + use<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = Format::default().json().flatten_event(true).with_span_list(false);
    let server = serde_json::Value::from(server).to_string();
    tracing_subscriber::fmt::layer()
        // They would be printed to stderr, and that panics if stderr is closed.
        .log_internal_errors(false)
        .fmt_fields(JsonFields::new())
        .event_format(WithOrigin { server, format })
        .with_writer(writer)
}

/// The field of a line with the name of the server that writes it.
const SERVER: &str = "server";

/// The JSON format of tracing-subscriber, with `server`, and with `trace_id` and `span_id` while a trace is recorded; each of them once.
struct WithOrigin {
    /// In quotes.
    server: String,
    format: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for WithOrigin
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_char('{')?;
        // One of several servers of a process may name itself. Declaring the field is what counts: a line that leaves it empty has no server.
        if event.metadata().fields().field(SERVER).is_none() {
            write!(writer, r#""{SERVER}":{},"#, self.server)?;
        }
        if let Some(Recorded { span, is_named }) = recorded(event) {
            if !is_named {
                write!(writer, r#""{TRACE_ID}":"{}","#, span.trace_id())?;
            }
            write!(writer, r#""span_id":"{}","#, span.span_id())?;
        }
        let mut rest = Rest {
            writer,
            has_begun: false,
        };
        self.format.format_event(context, Writer::new(&mut rest), event)
    }
}

/// Writes an object that was begun already: everything but its first brace.
struct Rest<'w> {
    writer: Writer<'w>,
    has_begun: bool,
}

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = match text.strip_prefix('{') {
            Some(rest) if !self.has_begun => rest,
            _ => text,
        };
        self.has_begun |= !text.is_empty();
        self.writer.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::written::Written;
    use super::*;

    impl Written {
        fn parsed(&self) -> Vec<serde_json::Value> {
            self.text()
                .lines()
                .map(|line| serde_json::from_str(line).expect("a JSON object per line"))
                .collect()
        }
    }

    #[test]
    fn lines_of_text_start_with_the_name_of_their_server() {
        let lines = Written::default();
        let writer = lines.clone();
        let layer = text("ws-0", move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(count = 3, "one");
            tracing::warn!("two");
        });
        let text = lines.text();
        assert!(text.lines().all(|line| line.starts_with("ws-0 2")), "{text}");
        assert!(text.contains(" INFO ") && text.contains("one count=3\n"), "{text}");
        assert!(text.contains(" WARN ") && text.ends_with("two\n"), "{text}");
    }

    #[test]
    fn a_line_inside_a_recorded_span_names_its_trace_and_others_do_not() {
        let lines = Written::default();
        let writer = lines.clone();
        let provider = SdkTracerProvider::builder().build();
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry()
            .with(json("ws-0", move || writer.clone()))
            .with(traces);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(count = 3, "outside");
            tracing::info_span!("work").in_scope(|| tracing::warn!("inside"));
        });
        let [outside, inside] = &lines.parsed()[..] else {
            panic!("two lines: {:?}", lines.parsed());
        };
        assert_eq!(
            (&outside["message"], &outside["count"], &outside["level"]),
            (&"outside".into(), &3.into(), &"INFO".into())
        );
        assert!(outside.get("trace_id").is_none());
        assert_eq!(
            (&outside["server"], &inside["server"]),
            (&"ws-0".into(), &"ws-0".into())
        );
        assert_eq!(inside["message"], "inside");
        assert_eq!(inside["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(inside["span_id"].as_str().map(str::len), Some(16));
    }

    #[test]
    fn a_line_of_json_has_one_server_which_is_the_one_that_it_names_itself() {
        let lines = Written::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(json("an \"odd\" {name}", move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(peer = "ws-1", "of the process");
            tracing::info!(server = "ws-2", "of a server in it");
        });
        let found: Vec<_> = lines.parsed().iter().map(|line| line["server"].clone()).collect();
        assert_eq!(found, ["an \"odd\" {name}", "ws-2"]);
        assert!(
            lines
                .text()
                .lines()
                .all(|line| line.matches("\"server\":").count() == 1)
        );
    }

    #[test]
    fn a_line_of_text_inside_a_recorded_span_ends_with_its_trace() {
        let lines = Written::default();
        let writer = lines.clone();
        let provider = SdkTracerProvider::builder().build();
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let layer = text("ws-0", move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer).with(traces), || {
            tracing::info!("outside");
            tracing::info_span!("work").in_scope(|| tracing::warn!(count = 3, "inside"));
        });
        let text = lines.text();
        let [outside, inside] = &text.lines().collect::<Vec<_>>()[..] else {
            panic!("two lines: {text}");
        };
        assert!(outside.ends_with("outside") && inside.starts_with("ws-0 2"), "{text}");
        let (line, id) = inside.rsplit_once(" trace_id=").expect("a trace");
        assert!(line.ends_with("inside count=3"), "{text}");
        assert!(
            id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{text}"
        );
    }
    #[test]
    fn a_line_that_names_its_trace_has_one_id_and_no_span_of_another_trace() {
        let (json_lines, text_lines) = (Written::default(), Written::default());
        let (json_writer, text_writer) = (json_lines.clone(), text_lines.clone());
        let provider = SdkTracerProvider::builder().build();
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry()
            .with(json("ws-0", move || json_writer.clone()))
            .with(text("ws-0", move || text_writer.clone()).with_ansi(false))
            .with(traces);
        let mut here = None;
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("work").in_scope(|| {
                here = Some(opentelemetry::Context::current().span().span_context().clone());
                let trace = here.as_ref().expect("a span").trace_id().to_string();
                tracing::info!(trace_id = trace, "of this trace");
                tracing::info!(trace_id = %trace, "shown, of this trace");
                tracing::info!(trace_id = "another", "of another trace");
                tracing::info!(trace_id = None::<String>, "of none");
            });
        });
        let here = here.expect("a span");
        let (trace, span) = (here.trace_id().to_string(), here.span_id().to_string());
        let (json_text, text) = (json_lines.text(), text_lines.text());
        for line in json_text.lines().chain(text.lines()) {
            assert_eq!(line.matches("trace_id").count(), 1, "{line}");
        }
        let ids = |line: &serde_json::Value| (line["trace_id"].clone(), line["span_id"].clone());
        let of_here = (trace.clone().into(), span.into());
        let of_another = ("another".into(), serde_json::Value::Null);
        let found: Vec<_> = json_lines.parsed().iter().map(ids).collect();
        assert_eq!(found, [of_here.clone(), of_here.clone(), of_another, of_here]);
        assert_eq!(text.matches(&trace).count(), 3, "{text}");
    }
}
