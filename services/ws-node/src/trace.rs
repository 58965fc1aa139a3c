//! The spans of the edge. Names come from bounded sets; a client cannot choose any part of them.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of one upgrade, which ends at the answer.
pub(crate) fn upgrade_span() -> Span {
    tracing::info_span!(
        "upgrade",
        otel.name = "GET /{*path}",
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/{*path}",
        http.response.status_code = tracing::field::Empty,
    )
}

/// The upgrade's context, if it is sampled: the spans of the connection's frames link to it.
pub(crate) fn link_target(upgrade: &Span) -> Option<Box<SpanContext>> {
    if upgrade.is_disabled() {
        return None;
    }
    let context = upgrade.context().span().span_context().clone();
    context.is_sampled().then(|| Box::new(context))
}

/// The span of one received frame, for an event of the table. `traceparent` is trusted.
pub(crate) fn receive_span(event: &str, traceparent: Option<&str>, upgrade: Option<&SpanContext>) -> Span {
    let span =
        tracing::info_span!("ws.receive", otel.name = %format_args!("ws.receive {event}"), otel.kind = "internal");
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = traceparent.and_then(remote_context) {
        // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
        let _nothing_to_parent = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    if let Some(upgrade) = upgrade {
        span.add_link(upgrade.clone());
    }
    span
}

/// Length of a W3C `traceparent`; <https://www.w3.org/TR/trace-context/>.
const TRACEPARENT_LENGTH: usize = 55;

fn remote_context(traceparent: &str) -> Option<SpanContext> {
    // The propagator would also accept shortened flags.
    if traceparent.len() != TRACEPARENT_LENGTH {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(traceparent));
    let remote = context.span().span_context().clone();
    remote.is_valid().then_some(remote)
}

/// The one header of a frame.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(remote_context(good).is_some_and(|context| context.is_sampled() && context.is_remote()));
        for bad in [
            "",
            "00",
            &good[..54],
            &good.replace("0af7", "zzzz"),
            &good.replace("00-0", "ff-0"),
            &format!("{good}-x"),
        ] {
            assert!(remote_context(bad).is_none(), "{bad}");
        }
        assert!(remote_context("00-00000000000000000000000000000000-b7ad6b7169203331-01").is_none());
    }
}
