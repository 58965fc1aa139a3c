//! The spans of what arrives: one for each message that its sender traces, children of the sender's. A fan-out has one, however many
//! clients get it, and none where nobody does. Messages that nobody traces cost nothing here. The context of the sender is read by
//! the caller, once.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::flow::clients::local_clients::LocalClients;
use crate::flow::inward::dispatch::Dispatch;
use crate::nodes::Node;
use crate::trace::{self, Handled};
use crate::wire::{Body, ClientId, Envelope, FromChannel, ServerName};

/// Makes the spans of what arrives.
pub(crate) struct Spans {
    me: ServerName,
    clients: Arc<LocalClients>,
    dispatch: Arc<Dispatch>,
}

impl Spans {
    pub(crate) fn new(me: ServerName, clients: Arc<LocalClients>, dispatch: Arc<Dispatch>) -> Self {
        Self { me, clients, dispatch }
    }

    /// The span of handling a message; disabled if its sender does not trace it.
    pub(crate) fn process(&self, name: &str, envelope: &Envelope, sender: Option<SpanContext>, node: &Node) -> Span {
        self.named(|| name, envelope, sender, node)
    }

    /// The span of handling an event. Senders do not choose names of spans: one that nobody listens to is called `other`.
    pub(crate) fn event(&self, event: &str, envelope: &Envelope, sender: Option<SpanContext>, node: &Node) -> Span {
        let name = || if self.dispatch.is_known(event) { event } else { "other" };
        self.named(name, envelope, sender, node)
    }

    /// Nothing is looked up for a message that is not traced.
    fn named<'a>(
        &self,
        name: impl FnOnce() -> &'a str,
        envelope: &Envelope,
        sender: Option<SpanContext>,
        node: &Node,
    ) -> Span {
        let (Some(wm), Some(context)) = (&envelope.wm, sender) else {
            return Span::none();
        };
        if !trace::is_followed(&context, &envelope.body, wm) {
            return Span::none();
        }
        let handled = Handled {
            name: name(),
            destination: trace::destination(&envelope.body),
            wm,
            sender: Some(&envelope.sender),
        };
        let span = trace::process_span(&handled, context, &self.me);
        trace::came_through(&span, node);
        span
    }

    /// The one span of handing a frame to this server's clients: disabled if there are none, and the more often the more there are.
    pub(crate) fn fan_out(&self, envelope: &Envelope, sender: Option<SpanContext>, node: &Node) -> Span {
        let Some(context) = sender.filter(SpanContext::is_sampled) else {
            return Span::none();
        };
        let receivers = self.receivers(&envelope.body);
        if receivers == 0 || !trace::is_fan_out_traced(context.trace_id(), receivers) {
            return Span::none();
        }
        let span = self.process(envelope.body.kind(), envelope, Some(context), node);
        let receivers = i64::try_from(receivers).unwrap_or(i64::MAX);
        span.set_attribute("wsmesh.local_clients", receivers);
        span
    }

    /// The span of handing a message of a custom channel to its listeners; disabled if there are none.
    pub(crate) fn channel(&self, name: &str, message: &FromChannel, sender: Option<SpanContext>, node: &Node) -> Span {
        let (Some(wm), Some(context)) = (&message.wm, sender.filter(SpanContext::is_sampled)) else {
            return Span::none();
        };
        if !self.dispatch.channels().has(name) {
            return Span::none();
        }
        let handled = Handled {
            name: "custom",
            destination: "custom",
            wm,
            sender: message.sender.as_ref(),
        };
        let span = trace::process_span(&handled, context, &self.me);
        trace::came_through(&span, node);
        span
    }

    /// How many of this server's clients a message is for.
    fn receivers(&self, body: &Body) -> usize {
        let hub = self.clients.hub();
        let here = |clients: &[ClientId]| clients.iter().filter(|client| hub.is_here(client)).count();
        match body {
            Body::Client { client, .. } => here(std::slice::from_ref(client)),
            Body::Clients { clients, .. } => here(clients),
            Body::Everyone { except, .. } => hub.client_count().saturating_sub(here(except)),
            Body::Room { room, except, .. } => hub.member_count(room, except),
            Body::RoomRemove { room } => hub.member_count(room, &[]),
            Body::Custom { .. } | Body::Event { .. } | Body::Reply { .. } => 0,
        }
    }
}
