//! The spans of calls to backends, and the trace context that goes with a call (W3C `traceparent`, `tracestate`).

use hyper::header::{HeaderMap, HeaderValue};
use hyper::{StatusCode, Uri};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wsmesh_adapter::{failed, of_request, recorded, traceparent};

use super::event::put;

/// The span of one call, child of the current span; disabled when that is not recorded.
pub(super) fn call_span(label: &str, uri: &Uri) -> Span {
    let Some(current) = recorded(&Span::current()) else {
        return Span::none();
    };
    tracing::info_span!(
        "backend",
        otel.name = format!("POST {label}"),
        otel.kind = "client",
        wsmesh.request = of_request(&current),
        http.request.method = "POST",
        server.address = uri.host(),
        server.port = port(uri),
        http.response.status_code = Empty,
    )
}

/// Writes the context of a span into headers; that of the current span if it is disabled.
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    let Some(context) = valid(span).or_else(|| valid(&Span::current())) else {
        return;
    };
    put(headers, "traceparent", &traceparent(&context));
    let state = context.trace_state().header();
    // It has a grammar of its own.
    if let Ok(value) = HeaderValue::try_from(&*state)
        && !state.is_empty()
    {
        headers.insert("tracestate", value);
    }
}

/// The call ended so: with a status, or for a reason from a bounded set.
pub(super) fn ended(span: &Span, status: Option<StatusCode>, result: &'static str) {
    match status {
        Some(status) => {
            span.record("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                failed(span, status.as_str().to_owned());
            }
        }
        None => failed(span, result),
    }
}

fn port(uri: &Uri) -> Option<i64> {
    let implied = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    uri.host().map(|_| i64::from(uri.port_u16().unwrap_or(implied)))
}

/// The context of a span, recorded or not: backends may sample by themselves.
fn valid(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_call_carries_its_own_span_of_the_trace_and_what_its_vendors_wrote() {
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        tracing::subscriber::with_default(subscriber, || {
            let trace = "0af7651916cd43dd8448eb211c80319c";
            let parent = wsmesh_adapter::remote_context(&format!("00-{trace}-b7ad6b7169203331-01"), Some("a=1,b=2"));
            let received = tracing::info_span!("ws.receive");
            let context = opentelemetry::Context::new().with_remote_span_context(parent.expect("valid"));
            received.set_parent(context).expect("there is a layer");
            let mut headers = HeaderMap::new();
            received.in_scope(|| {
                let span = call_span("bid.*", &Uri::from_static("http://auction:8080/bids"));
                assert!(!span.is_disabled());
                inject(&span, &mut headers);
                ended(&span, Some(StatusCode::OK), "2xx");
            });
            let written = headers["traceparent"].to_str().expect("ASCII");
            assert!(
                written.starts_with(&format!("00-{trace}-")) && written.ends_with("-01"),
                "{written}"
            );
            assert!(
                !written.contains("b7ad6b7169203331"),
                "the call has a span of its own: {written}"
            );
            assert_eq!(headers["tracestate"], "a=1,b=2");
        });
    }

    #[test]
    fn without_traces_there_is_no_header() {
        let mut headers = HeaderMap::new();
        let span = call_span("a", &Uri::from_static("http://h/"));
        inject(&span, &mut headers);
        ended(&span, None, "timeout");
        assert!(span.is_disabled() && headers.is_empty());
    }
}
