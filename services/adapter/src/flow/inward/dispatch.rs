//! Events and channel messages to this server's listeners, whether they come from another server or from this one.
//!
//! Never waits and never runs application code: listeners have queues, and a full one rejects the event.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::answers::{Answers, Once, WayBack};
use super::client_data::{CLIENT_DATA, DataOrders};
use super::event::{ChannelMessage, ServerEvent};
use super::preflight::{PREFLIGHT, PreflightOrders};
use super::queries::{QUERY, Queries};
use super::wanted::{WANTED, Wants};
use crate::cluster::{Deadline, Dispatched, Listeners};
use crate::metrics::Metrics;
use crate::wire::{Missing, Payload, ServerName};

/// An event for this server's listeners.
pub(crate) struct Arrival<'a> {
    pub(crate) event: &'a str,
    pub(crate) sender: &'a ServerName,
    pub(crate) payload: Payload,
    /// The name of the request, if it is one.
    pub(crate) callback_id: Option<String>,
    pub(crate) span: Span,
    /// When a copy was published first; none for an event that was published just now.
    pub(crate) sent: Option<Instant>,
    /// When the sender of a request gives up.
    pub(crate) deadline: Deadline,
    /// The idempotency key of a request, and its fingerprint.
    pub(crate) key: Option<(Arc<str>, Option<u64>)>,
}

/// Hands events to listeners.
#[derive(Debug)]
pub(crate) struct Dispatch {
    events: Arc<Listeners<ServerEvent>>,
    channels: Arc<Listeners<ChannelMessage>>,
    answers: Arc<Answers>,
    queries: Arc<Queries>,
    wants: Wants,
    data_orders: DataOrders,
    preflights: PreflightOrders,
    metrics: Arc<Metrics>,
}

impl Dispatch {
    pub(crate) fn new(
        answers: Arc<Answers>,
        queries: Queries,
        wants: Wants,
        data_orders: DataOrders,
        preflights: PreflightOrders,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            events: Arc::new(Listeners::new()),
            channels: Arc::new(Listeners::new()),
            answers,
            queries: Arc::new(queries),
            wants,
            data_orders,
            preflights,
            metrics,
        }
    }

    /// The listeners of each event.
    pub(crate) fn events(&self) -> &Arc<Listeners<ServerEvent>> {
        &self.events
    }

    /// The listeners of each custom channel.
    pub(crate) fn channels(&self) -> &Arc<Listeners<ChannelMessage>> {
        &self.channels
    }

    /// Whether an event has a listener here, or is the adapter's own.
    pub(crate) fn is_known(&self, event: &str) -> bool {
        is_own(event) || self.events.has(event)
    }

    /// Where the answer to a server's request goes.
    pub(crate) fn way_back(&self, server: &ServerName, callback_id: String, deadline: Deadline) -> WayBack {
        self.answers.way_back(server, callback_id, deadline)
    }

    /// Hands an event to the listeners. A request whose sender has given up is not handled.
    pub(crate) fn deliver(&self, arrival: Arrival<'_>) {
        let Arrival {
            event,
            sender,
            payload,
            callback_id,
            span,
            sent,
            deadline,
            key,
        } = arrival;
        let mut way_back = callback_id.map(|callback_id| self.way_back(sender, callback_id, deadline));
        if way_back.as_ref().is_some_and(WayBack::is_abandoned) {
            return;
        }
        if is_own(event) {
            return span.in_scope(|| self.serve(event, way_back, &payload, sent));
        }
        let key = key.filter(|_| way_back.is_some());
        if let (Some(request), Some((key, fingerprint))) = (way_back.take_if(|_| key.is_some()), key.clone()) {
            let once = Once {
                event,
                key,
                fingerprint,
            };
            way_back = self.answers.enter(request, once);
            if way_back.is_none() {
                return;
            }
        }
        let (way_back, key) = (way_back.map(Arc::new), key.map(|(key, _)| key));
        let deadline = way_back
            .as_ref()
            .map_or(Deadline::Never, |way_back| way_back.deadline().clone());
        let name: Arc<str> = Arc::from(event);
        let age = sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        let dispatched = self.events.dispatch(event, sent, || ServerEvent {
            event: name.clone(),
            sender: sender.clone(),
            payload: payload.clone(),
            span: span.clone(),
            age,
            key: key.clone(),
            deadline: deadline.clone(),
            way_back: way_back.clone(),
        });
        let why = match dispatched {
            Dispatched::Taken => return,
            Dispatched::Nobody => Missing::Unhandled,
            Dispatched::Overloaded => {
                self.metrics.receiving.events_refused.inc();
                tracing::warn!(event, %sender, "event rejected: too many wait for its listener; make the listener faster, or start more servers of this service");
                Missing::Overloaded
            }
        };
        if let Some(way_back) = way_back {
            span.in_scope(|| way_back.answer_later(Err(why)));
        }
    }

    /// What servers ask of the adapter itself.
    fn serve(&self, event: &str, way_back: Option<WayBack>, payload: &Payload, sent: Option<Instant>) {
        if event == CLIENT_DATA {
            let answer = self.data_orders.carry_out(payload, sent);
            if let Some(way_back) = way_back {
                Arc::new(way_back).answer_later(answer);
            }
            return;
        }
        // The others only ask.
        let Some(way_back) = way_back else { return };
        match event {
            QUERY => self.queries.answer(way_back, payload),
            PREFLIGHT => self.preflights.accept(way_back, payload),
            _ => Arc::new(way_back).answer_later(self.wants.answer()),
        }
    }

    /// Hands a message of another server or program to the listeners of a custom channel.
    pub(crate) fn deliver_to_channel(&self, name: &str, message: &ChannelMessage, sent: Option<Instant>) {
        if self.channels.dispatch(name, sent, || message.clone()) == Dispatched::Overloaded {
            self.metrics.receiving.events_refused.inc();
            tracing::warn!(
                channel = name,
                "message rejected: too many wait for the channel's listener; make the listener faster"
            );
        }
    }
}

/// What servers ask of the adapter itself.
fn is_own(event: &str) -> bool {
    matches!(event, QUERY | WANTED | CLIENT_DATA | PREFLIGHT)
}
