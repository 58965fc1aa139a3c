//! Traces across hops: the context of a span goes into the envelope, and comes out of it on the other server.
//!
//! A message that is neither sampled nor part of a client's request has no span here, no header and no allocation. A request that
//! is not sampled is still recorded, so that its trace can be kept if it fails or is slow. Names and attributes follow
//! OpenTelemetry's conventions for messaging. Only the API is used; the service chooses sampler and exporter.

use std::borrow::Cow;

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::cluster::Answered;
use crate::nodes::Node;
use crate::wire::{Body, Refusal, ServerName, Topic, Wm};

/// A fan-out to at most this many clients of a server is always traced there, if its message is sampled.
const ALWAYS_TRACED: usize = 100;

/// The error codes of the client protocol.
const CODES: [&str; 12] = [
    "BAD_FRAME",
    "UNKNOWN_EVENT",
    "BAD_PAYLOAD",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "CONFLICT",
    "TOO_BIG",
    "TIMEOUT",
    "UNAVAILABLE",
    "OVERLOADED",
    "RATE_LIMITED",
    "INTERNAL",
];

/// The span of one publish, child of the current span; disabled when that is not recorded.
pub(crate) fn publish_span(topic: &Topic, me: &ServerName) -> Span {
    let Some(current) = recorded(&Span::current()) else {
        return Span::none();
    };
    let kind = topic.kind();
    tracing::info_span!(
        "publish",
        otel.name = format!("publish {kind}"),
        otel.kind = "producer",
        wsmesh.request = of_request(&current),
        messaging.system = "redis",
        messaging.operation.name = "publish",
        messaging.operation.r#type = "send",
        messaging.destination.template = kind,
        messaging.client.id = me.as_str(),
        wsmesh.node = tracing::field::Empty,
    )
}

/// Writes the span's context into an envelope: if it is sampled, or if it belongs to a client's request and the message goes to a
/// server that has a part in the request.
pub(crate) fn inject(span: &Span, body: &Body, wm: &mut Wm) {
    let Some(context) = recorded(span) else {
        return;
    };
    span.set_attribute("messaging.message.id", message_id(wm));
    if is_followed(&context, body, wm) {
        wm.traceparent = Some(traceparent(&context));
        let state = context.trace_state().header();
        wm.tracestate = (!state.is_empty()).then_some(state);
    }
}

/// A node took the current publish, or did not, for a reason from a bounded set: then the publish may take another one.
pub(crate) fn through(node: &Node, refused: Option<&'static str>) {
    let span = Span::current();
    // The publisher's own span, in place of that of a publish, has no such field.
    if !span.has_field("wsmesh.node") {
        return;
    }
    match refused {
        None => about(node)
            .into_iter()
            .for_each(|fact| span.set_attribute(fact.key, fact.value)),
        Some(why) => {
            let mut facts = about(node);
            facts.push(KeyValue::new("error.type", why));
            span.add_event("a node did not take the message", facts);
        }
    }
}

/// A message of another server, as its span shows it.
pub(crate) struct Handled<'a> {
    /// From a bounded set.
    pub(crate) name: &'a str,
    /// The kind of topic that it was published to.
    pub(crate) destination: &'static str,
    pub(crate) wm: &'a Wm,
    pub(crate) sender: Option<&'a ServerName>,
}

/// The span of handling a message, child of the sender's, whose context is `context`.
pub(crate) fn process_span(handled: &Handled<'_>, context: SpanContext, me: &ServerName) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = format!("process {}", handled.name),
        otel.kind = "consumer",
        wsmesh.request = of_request(&context),
        messaging.system = "redis",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.template = handled.destination,
        messaging.message.id = message_id(handled.wm),
        messaging.client.id = me.as_str(),
        wsmesh.sender = handled.sender.map(ServerName::as_str),
    );
    span.add_link(context.clone());
    // Fails only when no OpenTelemetry layer is installed: then there is nothing to parent.
    let _ = span.set_parent(Context::new().with_remote_span_context(context));
    span
}

/// The node that a message came through, in the span of handling it.
pub(crate) fn came_through(span: &Span, node: &Node) {
    if !span.is_disabled() {
        about(node)
            .into_iter()
            .for_each(|fact| span.set_attribute(fact.key, fact.value));
    }
}

/// Whether the receiver of a message that carries this context makes a span of it: if it is sampled, or has a part in a client's
/// request.
pub(crate) fn is_followed(context: &SpanContext, body: &Body, wm: &Wm) -> bool {
    context.is_sampled() || is_part(body, wm)
}

/// The context that a message carries. Read once for each message that carries one.
pub(crate) fn context_of(wm: &Wm) -> Option<SpanContext> {
    remote_context(wm.traceparent.as_deref()?, wm.tracestate.as_deref())
}

/// Whether a fan-out of this trace to this many clients of one server is traced there. Every server decides alike about a trace and a
/// number.
pub(crate) fn is_fan_out_traced(trace: TraceId, receivers: usize) -> bool {
    receivers <= ALWAYS_TRACED || chance_of(trace) < fan_out_share(receivers)
}

/// The share of the fan-outs to this many clients of one server that are traced there: `min(1, 100 / receivers)`. So the work for
/// traces does not grow with the audience.
fn fan_out_share(receivers: usize) -> f64 {
    (ALWAYS_TRACED as f64 / receivers.max(1) as f64).min(1.0)
}

/// A number from 0 to 1 that belongs to a trace. It has nothing to do with the bits by which samplers choose traces, else all that
/// they choose would pass here, too.
fn chance_of(trace: TraceId) -> f64 {
    let id = u128::from_be_bytes(trace.to_bytes());
    // SplitMix64's finalizer: <https://prng.di.unimi.it/splitmix64.c>.
    let mut mixed = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    mixed as f64 / 2_f64.powi(64)
}

/// The context of a span that is recorded: because it is sampled, or because it belongs to a client's request that may be kept when it
/// is over. Spans below it are worth their cost; all others need none.
pub fn recorded(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let (span, context) = (context.span(), context.span().span_context().clone());
    (context.is_valid() && (context.is_sampled() || span.is_recording())).then_some(context)
}

/// The attribute `wsmesh.request` of a span below `parent`: it has the sampler record spans that it does not choose.
pub fn of_request(parent: &SpanContext) -> Option<bool> {
    (!parent.is_sampled()).then_some(true)
}

/// The work of a span failed, or was refused. `why` is from a bounded set.
pub fn failed(span: &Span, why: impl Into<Cow<'static, str>>) {
    if !span.is_disabled() {
        let why = why.into();
        span.set_attribute("error.type", why.clone());
        span.set_status(Status::error(why));
    }
}

/// A request is answered so, in the span of handling it: with a reply, which may be a refusal, or with the reason why there is none.
pub(crate) fn answered(span: &Span, reply: &Answered) {
    if recorded(span).is_none() {
        return;
    }
    match reply {
        Err(missing) => failed(span, missing.label()),
        Ok(payload) => {
            if let Some(code) = Refusal::code_of(payload) {
                failed(span, shown_code(&code));
            }
        }
    }
}

/// The code of a refusal as spans show it: one of the client protocol's, or `other` for those of applications.
pub fn shown_code(code: &str) -> &'static str {
    CODES.into_iter().find(|known| *known == code).unwrap_or("other")
}

/// A context as W3C `traceparent`.
pub fn traceparent(context: &SpanContext) -> String {
    let flags = u8::from(context.is_sampled());
    format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
}

/// Whether a message has a part in a request of which its receivers make spans, too: a request, an event or an answer of a server, or a
/// request to a client. A fan-out has none.
fn is_part(body: &Body, wm: &Wm) -> bool {
    matches!(body, Body::Event { .. } | Body::Reply { .. }) || wm.request.is_some()
}

fn message_id(wm: &Wm) -> String {
    format!("{}-{}", wm.identity.instance, wm.identity.sequence)
}

/// The kind of topic that a message was published to, as far as it shows.
pub(crate) fn destination(body: &Body) -> &'static str {
    match body {
        Body::Event { targets, .. } if targets.is_empty() => "servers",
        Body::Event { .. } | Body::Reply { .. } => "server",
        Body::Client { .. } | Body::Clients { .. } => "client",
        Body::Everyone { .. } => "clients",
        Body::Room { .. } | Body::RoomRemove { .. } => "room",
        Body::Custom { .. } => "custom",
    }
}

/// Which node it is, and where.
fn about(node: &Node) -> Vec<KeyValue> {
    let mut facts = vec![KeyValue::new("wsmesh.node", node.id.as_str().to_owned())];
    if let Some((host, port)) = host_and_port(&node.endpoint().address()) {
        facts.push(KeyValue::new("server.address", host.to_owned()));
        facts.push(KeyValue::new("server.port", i64::from(port)));
    }
    facts
}

/// The parts of `host:port`; none for a node of the embedded bus.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']), port.parse().ok()?))
}

/// The context of a W3C `traceparent`, version 00, and `tracestate`; <https://www.w3.org/TR/trace-context/>. A state that cannot be
/// read is left out.
///
/// Read here, because the propagator that reads it is part of OpenTelemetry's SDK, and the adapter knows only the API.
pub fn remote_context(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "00" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 || parts.next().is_some() {
        return None;
    }
    let state = tracestate.and_then(|text| text.parse::<TraceState>().ok());
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        state.unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(remote_context(good, None).is_some_and(|context| context.is_sampled() && context.is_remote()));
        for bad in [
            "",
            "00",
            &good[..54],
            &good.replace("0af7", "zzzz"),
            &good.replace("00-0", "ff-0"),
            &format!("{good}-x"),
        ] {
            assert!(remote_context(bad, None).is_none(), "{bad}");
        }
        assert!(remote_context("00-00000000000000000000000000000000-b7ad6b7169203331-01", None).is_none());
    }

    #[test]
    fn a_context_is_written_as_it_is_read() {
        for flags in ["00", "01"] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            assert_eq!(traceparent(&remote_context(&text, None).expect("valid")), text);
        }
    }

    #[test]
    fn the_share_of_traced_fan_outs_falls_with_the_receivers_from_a_hundred_on() {
        for (receivers, share) in [
            (0, 1.0),
            (1, 1.0),
            (100, 1.0),
            (200, 0.5),
            (1_000, 0.1),
            (100_000, 0.001),
        ] {
            assert_eq!(fan_out_share(receivers), share, "{receivers}");
        }
    }

    #[test]
    fn as_many_fan_outs_are_traced_as_their_share_says_whatever_chose_the_traces() {
        // Random ids; those that a sampler by ratio chooses, which are small in their lower half; those that begin with the time.
        let random = |index: u128| (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let chosen = |index: u128| random(index) & !(0xffff << 48);
        let timed = |index: u128| random(index) >> 32 | 0x6abc_def0 << 96;
        let kinds: [&dyn Fn(u128) -> u128; 3] = [&random, &chosen, &timed];
        for ids in kinds {
            let traced = |receivers| {
                let traces = (0..20_000).map(|index| TraceId::from_bytes(ids(index).to_be_bytes()));
                traces.filter(|trace| is_fan_out_traced(*trace, receivers)).count()
            };
            assert_eq!(traced(100), 20_000);
            assert!((9_500..10_500).contains(&traced(200)), "{}", traced(200));
            assert!((1_800..2_200).contains(&traced(1_000)), "{}", traced(1_000));
        }
    }

    #[test]
    fn a_trace_that_is_kept_for_many_receivers_is_kept_for_fewer() {
        for index in 1..2_000_u128 {
            let trace = TraceId::from_bytes(
                index
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                    .to_be_bytes(),
            );
            let traced: Vec<_> = [50, 150, 500, 5_000]
                .map(|receivers| is_fan_out_traced(trace, receivers))
                .into();
            assert!(traced.is_sorted_by(|fewer, more| fewer >= more), "{traced:?}");
        }
    }

    #[test]
    fn the_address_of_a_node_is_a_host_and_a_port_or_nothing() {
        assert_eq!(host_and_port("redis-0.redis:6379"), Some(("redis-0.redis", 6379)));
        assert_eq!(host_and_port("[2001:db8::1]:6380"), Some(("2001:db8::1", 6380)));
        assert_eq!(host_and_port("memory:redis-0"), None);
    }

    #[test]
    fn only_codes_of_the_protocol_are_shown_in_spans() {
        assert_eq!(shown_code("TIMEOUT"), "TIMEOUT");
        for other in [
            "",
            "SOLD_OUT",
            "timeout",
            "not found",
            "ann@example.org",
            &"X".repeat(33),
        ] {
            assert_eq!(shown_code(other), "other", "{other}");
        }
    }

    #[test]
    fn the_codes_are_those_of_the_client_protocol() {
        use wsmesh_protocol::ErrorCode;
        assert_eq!(CODES, ErrorCode::ALL.map(ErrorCode::as_str));
    }
}
