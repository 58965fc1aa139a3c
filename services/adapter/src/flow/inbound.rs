//! The way in: decodes a message, drops it if it is this server's own or was seen before, and hands it to clients, to
//! listeners, or to the request that waits for it.
//!
//! One task takes what all nodes' subscribers read, in order of arrival. It never runs application code: listeners have
//! queues. It waits only for a shard's inbox, and then the subscribers wait, and Redis holds the rest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument;

use crate::cluster::{Beacon, Deadline, Dedup, Requests, Seen};
use crate::exemplars::TracedHistogram;
use crate::flow::ask::client_requests::ClientRequests;
use crate::flow::clients::local_clients::LocalClients;
use crate::flow::inward::dispatch::{Arrival, Dispatch};
use crate::flow::inward::event::ChannelMessage;
use crate::flow::spans::Spans;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::unix_time::now_ms;
use crate::metrics::Metrics;
use crate::nodes::{Batch, Channel, Node};
use crate::trace;
use crate::wire::{Body, Channels, ClusterId, DecodeError, Envelope, FromChannel, Instance, Missing, ServerName, Wm};

/// How often senders that fell silent long ago are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// What a subscriber read, and from which node.
pub(crate) type Arrivals = (Arc<Node>, Batch);

/// Takes the messages of other servers.
pub(crate) struct Inbound<F> {
    me: ServerName,
    instance: Instance,
    cluster_id: ClusterId,
    channels: Arc<Channels>,
    beacon_channel: Channel,
    spans: Spans,
    clients: Arc<LocalClients>,
    client_requests: Arc<ClientRequests>,
    dispatch: Arc<Dispatch>,
    requests: Arc<Requests>,
    metrics: Arc<Metrics>,
    on_beacon: F,
    dedup: Dedup,
    swept: Instant,
}

/// A message of another server.
enum Message {
    Envelope(Envelope),
    /// On the custom channel of that name.
    Custom(String, FromChannel),
}

/// What is known about a message that is taken.
#[derive(Default)]
struct Taken {
    /// When a copy was sent first, as far as this server's clock can tell: younger receivers do not get it.
    sent: Option<Instant>,
    /// The context of its sender's span.
    trace: Option<SpanContext>,
}

impl Message {
    fn wm(&self) -> Option<&Wm> {
        match self {
            Self::Envelope(envelope) => envelope.wm.as_ref(),
            Self::Custom(_, message) => message.wm.as_ref(),
        }
    }
}

impl<F: Fn(Beacon)> Inbound<F> {
    /// Beacons go to `on_beacon`.
    pub(crate) fn new(
        foundation: &Foundation,
        clients: Arc<LocalClients>,
        client_requests: Arc<ClientRequests>,
        dispatch: Arc<Dispatch>,
        requests: Arc<Requests>,
        on_beacon: F,
    ) -> Self {
        Self {
            me: foundation.members.name().clone(),
            instance: foundation.members.instance(),
            cluster_id: foundation.options.cluster_id.clone(),
            beacon_channel: foundation.channels.beacon(),
            channels: foundation.channels.clone(),
            spans: Spans::new(foundation.members.name().clone(), clients.clone(), dispatch.clone()),
            clients,
            client_requests,
            dispatch,
            requests,
            metrics: foundation.metrics.clone(),
            on_beacon,
            dedup: Dedup::default(),
            swept: Instant::now(),
        }
    }

    /// Takes what the subscribers read until they have all ended.
    pub(crate) async fn run(mut self, mut batches: mpsc::Receiver<Arrivals>) {
        while let Some((node, batch)) = batches.recv().await {
            let now = Instant::now();
            if now.saturating_duration_since(self.swept) > SWEEP {
                self.dedup.sweep(now);
                self.swept = now;
            }
            let id = node.id.as_str();
            self.metrics
                .receiving
                .receive
                .with_label_values(&[id])
                .inc_by(batch.len() as u64);
            let bytes: usize = batch.iter().map(|(_, bytes)| bytes.len()).sum();
            self.metrics.receiving.receive_bytes.inc_by(bytes as u64);
            let lag = self.metrics.receiving.lag_seconds.with_label_values(&[id]);
            for (channel, bytes) in batch {
                if channel == self.beacon_channel.as_bytes() {
                    self.take_beacon(&bytes, now);
                    continue;
                }
                let message = match self.read(&channel, bytes) {
                    Ok(Some(message)) => message,
                    Ok(None) => continue,
                    Err(error) => {
                        self.malformed("message", &error.to_string());
                        continue;
                    }
                };
                let Some(Taken { sent, trace }) = self.judge(&message, &lag, now) else {
                    continue;
                };
                match message {
                    Message::Envelope(mut envelope) => {
                        envelope.body.carried_by(node.index);
                        self.take(envelope, sent, trace, &node).await;
                    }
                    Message::Custom(name, message) => {
                        let span = self.spans.channel(&name, &message, trace, &node);
                        let FromChannel { sender, payload, .. } = message;
                        let message = ChannelMessage { sender, payload, span };
                        self.dispatch.deliver_to_channel(&name, &message, sent);
                    }
                }
            }
        }
    }

    fn take_beacon(&mut self, bytes: &[u8], now: Instant) {
        match Beacon::decode(bytes) {
            Some(beacon) => {
                if self.cluster_id.fits(&beacon.cluster_id) {
                    self.dedup.on_mark(beacon.instance, beacon.mark, now);
                } else {
                    // It sends its first messages after its first beacon.
                    self.dedup.shut_out(beacon.instance, now);
                }
                (self.on_beacon)(beacon);
            }
            None => self.malformed("beacon", "this version does not understand it"),
        }
    }

    fn malformed(&self, what: &str, why: &str) {
        self.metrics.receiving.malformed.inc();
        tracing::debug!("unreadable {what}: {why}");
    }

    /// What is known about a message that is to be taken; nothing if the message is to be dropped.
    fn judge(&mut self, message: &Message, lag: &TracedHistogram, now: Instant) -> Option<Taken> {
        let Some(wm) = message.wm() else {
            return Some(Taken::default());
        };
        match self.dedup.see(wm.identity.instance, wm.identity.sequence, now) {
            Seen::First => {
                let seconds = now_ms().saturating_sub(wm.time_ms) as f64 / 1000.0;
                let trace = trace::context_of(wm);
                let sampled = trace.as_ref().filter(|context| context.is_sampled());
                lag.observe_in(seconds, sampled.map(SpanContext::trace_id));
                let age = wm.age_ms.map(Duration::from_millis);
                let sent = age.and_then(|age| now.checked_sub(age));
                Some(Taken { sent, trace })
            }
            Seen::Duplicate => {
                self.metrics.receiving.duplicates.inc();
                None
            }
            Seen::Old => {
                self.metrics.receiving.old.inc();
                None
            }
        }
    }

    /// Reads a message; nothing if this server sent it.
    fn read(&self, channel: &[u8], bytes: Bytes) -> Result<Option<Message>, DecodeError> {
        if self.channels.is_custom(channel) {
            let message = Envelope::decode_custom(bytes)?;
            // This server's own messages reached its listeners at once.
            let own = message.sender.as_ref() == Some(&self.me);
            let name = String::from_utf8_lossy(channel).into_owned();
            return Ok((!own).then_some(Message::Custom(name, message)));
        }
        let envelope = Envelope::decode_unless_own(bytes, self.instance)?;
        let envelope = envelope.filter(|envelope| envelope.sender != self.me);
        Ok(envelope.map(|mut envelope| {
            // A copy of what was published on a custom channel.
            let name = envelope.wm.as_mut().and_then(|wm| wm.channel.take());
            match (name, envelope) {
                (
                    Some(name),
                    Envelope {
                        sender,
                        wm,
                        body: Body::Custom { payload },
                    },
                ) => {
                    let sender = Some(sender);
                    Message::Custom(name, FromChannel { sender, wm, payload })
                }
                (_, envelope) => Message::Envelope(envelope),
            }
        }))
    }

    /// `sent` is when a copy was published first; none for a message that was published just now.
    async fn take(&self, envelope: Envelope, sent: Option<Instant>, trace: Option<SpanContext>, node: &Node) {
        match &envelope.body {
            Body::Event { .. } => return self.take_event(envelope, sent, trace, node),
            Body::Reply { callback_id, payload } => {
                let span = self.spans.process("reply", &envelope, trace, node);
                let error = envelope.wm.as_ref().and_then(|wm| wm.error.as_deref());
                let reply = error.map_or_else(|| Ok(payload.clone()), |label| Err(Missing::from_label(label)));
                if let Err(missing) = &reply {
                    trace::failed(&span, missing.label());
                }
                let _handling = span.entered();
                self.requests.on_reply(callback_id, &envelope.sender, reply);
                return;
            }
            _ => {}
        }
        let start = Instant::now();
        let request = envelope
            .wm
            .as_ref()
            .and_then(|wm| Some((wm.request.clone()?, wm.limit_ms?)));
        if let (Some((callback_id, limit_ms)), Body::Client { client, frame }) = (request, &envelope.body) {
            let deadline = deadline_of(limit_ms, sent);
            let way_back = Arc::new(self.dispatch.way_back(&envelope.sender, callback_id, deadline));
            if way_back.is_abandoned() {
                return;
            }
            let span = self.spans.process(envelope.body.kind(), &envelope, trace, node);
            let taking = self.client_requests.take(client, frame.clone(), way_back, sent);
            return taking.instrument(span).await;
        }
        let _span = self.spans.fan_out(&envelope, trace, node);
        if self.fan_out(envelope.body, sent).await {
            self.metrics
                .receiving
                .fanout_seconds
                .observe(start.elapsed().as_secs_f64());
        }
    }

    /// Hands a frame to this server's clients; whether there may be any for it.
    async fn fan_out(&self, body: Body, sent: Option<Instant>) -> bool {
        match body {
            Body::Client { client, frame } => self.clients.hub().to_client(&client, frame, sent).await,
            Body::Clients { clients, frame } => {
                let mut reached = false;
                for client in &clients {
                    reached |= self.clients.hub().to_client(client, frame.clone(), sent).await;
                }
                reached
            }
            Body::Everyone { except, frame } => {
                self.clients.hub().to_everyone_but(frame, sent, &except).await;
                self.clients.hub().client_count() > 0
            }
            Body::Room {
                room,
                mut except,
                frame,
            } => {
                except.extend(self.clients.hub().younger_members(&room, sent));
                self.clients.hub().to_room(&room, frame, except.into()).await > 0
            }
            Body::RoomRemove { room } => {
                self.clients.remove_room(&room, sent).await;
                true
            }
            Body::Custom { .. } | Body::Event { .. } | Body::Reply { .. } => false,
        }
    }

    fn take_event(&self, envelope: Envelope, sent: Option<Instant>, trace: Option<SpanContext>, node: &Node) {
        let span = match &envelope.body {
            Body::Event { targets, .. } if !targets.is_empty() && !targets.contains(&self.me) => return,
            Body::Event { event, .. } => self.spans.event(event, &envelope, trace, node),
            _ => return,
        };
        let Envelope {
            sender,
            wm,
            body:
                Body::Event {
                    event,
                    targets: _,
                    payload,
                    callback_id,
                },
        } = envelope
        else {
            return;
        };
        let (mut deadline, mut key, mut meant_for) = (Deadline::Never, None, None);
        if let Some(wm) = wm {
            deadline = wm.limit_ms.map_or(Deadline::Never, |ms| deadline_of(ms, sent));
            key = wm.key.map(|key| (key.into(), wm.fingerprint));
            meant_for = wm.target_instance;
        }
        if meant_for.is_some_and(|instance| instance != self.instance) {
            if let Some(callback_id) = callback_id {
                let way_back = self.dispatch.way_back(&sender, callback_id, deadline);
                span.in_scope(|| Arc::new(way_back).answer_later(Err(Missing::Restarted)));
            }
            return;
        }
        self.dispatch.deliver(Arrival {
            event: &event,
            sender: &sender,
            payload,
            callback_id,
            span,
            sent,
            deadline,
            key,
        });
    }
}

/// When the sender of a request gives up that it sent with this limit; a copy was published first at `sent`.
fn deadline_of(limit_ms: u64, sent: Option<Instant>) -> Deadline {
    let now = Instant::now();
    let age = sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
    Deadline::of(Some(Duration::from_millis(limit_ms)), age, now)
}
