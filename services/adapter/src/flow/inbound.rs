//! The way in: decode, own? seen? then to the hub, the listeners, or whoever waits for a reply.
//!
//! One task takes what all nodes' subscribers read, in order of arrival. It never runs application code: listeners have
//! queues. It waits only for a shard's inbox, and then the subscribers wait, and Redis holds the rest.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument;

use crate::api::adapter::Inner;
use crate::api::channels::ChannelMessage;
use crate::api::event::{ServerEvent, WayBack};
use crate::api::gather;
use crate::cluster::{Beacon, Dedup, Dispatched, Seen};
use crate::error::Missing;
use crate::flow::catchup;
use crate::flow::outbound::now_ms;
use crate::nodes::{Batch, Node};
use crate::trace;
use crate::wire::{Body, DecodeError, Envelope, FromChannel, Payload, ServerName, Wm};

/// How often senders that fell silent long ago are forgotten.
const SWEEP: Duration = Duration::from_secs(10);

/// Takes what the subscribers read until they have all ended.
pub(crate) async fn run(inner: Arc<Inner>, mut batches: mpsc::Receiver<(Arc<Node>, Batch)>) {
    let mut dedup = Dedup::default();
    let mut swept = Instant::now();
    while let Some((node, batch)) = batches.recv().await {
        let now = Instant::now();
        if now.saturating_duration_since(swept) > SWEEP {
            dedup.sweep(now);
            swept = now;
        }
        let id = node.id.as_str();
        inner
            .metrics
            .receive
            .with_label_values(&[id])
            .inc_by(batch.len() as u64);
        let lag = inner.metrics.lag_seconds.with_label_values(&[id]);
        for (channel, bytes) in batch {
            if channel == inner.beacon_channel.as_bytes() {
                match Beacon::decode(&bytes) {
                    Some(beacon) => {
                        dedup.on_mark(beacon.instance, beacon.mark, now);
                        inner.on_beacon(beacon);
                    }
                    None => inner.malformed("beacon", "not a beacon that this version understands"),
                }
                continue;
            }
            let arrived = match inner.read(&channel, bytes) {
                Ok(Some(arrived)) => arrived,
                Ok(None) => continue,
                Err(error) => {
                    inner.malformed("message", &error.to_string());
                    continue;
                }
            };
            let mut age = None;
            if let Some(wm) = arrived.wm() {
                match dedup.see(wm.identity.instance, wm.identity.sequence, now) {
                    Seen::First => lag.observe(now_ms().saturating_sub(wm.time_ms) as f64 / 1000.0),
                    Seen::Duplicate => {
                        inner.metrics.duplicates.inc();
                        continue;
                    }
                    Seen::Old => {
                        inner.metrics.old.inc();
                        continue;
                    }
                }
                age = wm.age_ms.map(Duration::from_millis);
            }
            // When it was sent, as far as this server's clock can tell: who is younger does not get it.
            let sent = age.and_then(|age| now.checked_sub(age));
            match arrived {
                Arrived::Envelope(envelope) => inner.take(envelope, sent).await,
                Arrived::Custom(name, message) => inner.take_custom(&name, message, sent),
            }
        }
    }
}

/// A message of another server.
enum Arrived {
    Envelope(Envelope),
    /// On the custom channel of that name.
    Custom(String, FromChannel),
}

impl Arrived {
    fn wm(&self) -> Option<&Wm> {
        match self {
            Self::Envelope(envelope) => envelope.wm.as_ref(),
            Self::Custom(_, message) => message.wm.as_ref(),
        }
    }
}

impl Inner {
    fn malformed(&self, what: &str, why: &str) {
        self.metrics.malformed.inc();
        tracing::debug!("unreadable {what}: {why}");
    }

    /// Reads a message; nothing if this server sent it.
    fn read(&self, channel: &[u8], bytes: Bytes) -> Result<Option<Arrived>, DecodeError> {
        if self.channels.is_custom(channel) {
            let message = Envelope::decode_custom(bytes)?;
            // What this server published reached its own listeners at once.
            let own = message.sender.as_ref() == Some(&self.options.name);
            let name = String::from_utf8_lossy(channel).into_owned();
            return Ok((!own).then_some(Arrived::Custom(name, message)));
        }
        let envelope = Envelope::decode_unless_own(bytes, self.instance)?;
        let envelope = envelope.filter(|envelope| envelope.sender != self.options.name);
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
                    Arrived::Custom(name, FromChannel { sender, wm, payload })
                }
                (_, envelope) => Arrived::Envelope(envelope),
            }
        }))
    }

    fn take_custom(&self, name: &str, message: FromChannel, sent: Option<Instant>) {
        let FromChannel { sender, payload, .. } = message;
        let message = || ChannelMessage {
            sender: sender.clone(),
            payload: payload.clone(),
        };
        if self.custom.dispatch(name, sent, message) == Dispatched::Overloaded {
            self.metrics.events_refused.inc();
            tracing::warn!(
                channel = name,
                "message refused: the channel's listener has too many waiting"
            );
        }
    }

    /// `sent` is when a copy was published first; none for what was published just now.
    async fn take(self: &Arc<Self>, envelope: Envelope, sent: Option<Instant>) {
        match &envelope.body {
            Body::Event { .. } => return self.take_event(envelope, sent),
            Body::Reply { callback_id, payload } => {
                let _handling = trace::process_span("reply", &envelope).entered();
                let error = envelope.wm.as_ref().and_then(|wm| wm.error.as_deref());
                let reply = error.map_or_else(|| Ok(payload.clone()), |label| Err(Missing::from_label(label)));
                self.requests.on_reply(callback_id, &envelope.sender, reply);
                return;
            }
            _ => {}
        }
        let start = Instant::now();
        let span = trace::process_span(envelope.body.kind(), &envelope);
        let request = envelope
            .wm
            .as_ref()
            .and_then(|wm| Some((wm.request.clone()?, wm.limit_ms?)));
        if let (Some((callback_id, limit_ms)), Body::Client { client, frame }) = (request, &envelope.body) {
            let (way_back, limit) = (
                self.way_back(&envelope.sender, callback_id),
                Duration::from_millis(limit_ms),
            );
            let taking = self.take_client_request(client, frame.clone(), way_back, limit, sent);
            return taking.instrument(span).await;
        }
        let reached = self.fan_out(envelope.body, sent).await;
        if reached {
            span.record("wsmesh.local_clients", self.hub.client_count());
            self.metrics.fanout_seconds.observe(start.elapsed().as_secs_f64());
        }
    }

    /// Hands a frame to this server's clients; whether there may be any for it.
    async fn fan_out(self: &Arc<Self>, body: Body, sent: Option<Instant>) -> bool {
        match body {
            Body::Client { client, frame } => self.hub.to_client(&client, frame, sent).await,
            Body::Clients { clients, frame } => {
                let mut reached = false;
                for client in &clients {
                    reached |= self.hub.to_client(client, frame.clone(), sent).await;
                }
                reached
            }
            Body::Everyone { frame } => {
                self.hub.to_everyone(frame, sent).await;
                self.hub.client_count() > 0
            }
            Body::Room {
                room,
                mut except,
                frame,
            } => {
                except.extend(self.hub.younger_members(&room, sent));
                self.hub.to_room(&room, frame, except.into()).await > 0
            }
            Body::RoomRemove { room } => {
                self.remove_room_here(&room, sent).await;
                true
            }
            Body::Custom { .. } | Body::Event { .. } | Body::Reply { .. } => false,
        }
    }

    fn take_event(self: &Arc<Self>, envelope: Envelope, sent: Option<Instant>) {
        let span_name = match &envelope.body {
            Body::Event { event, .. } => event.clone(),
            _ => return,
        };
        let span = trace::process_span(&span_name, &envelope);
        let Envelope {
            sender,
            wm,
            body:
                Body::Event {
                    event,
                    targets,
                    payload,
                    callback_id,
                },
        } = envelope
        else {
            return;
        };
        if !targets.is_empty() && !targets.contains(&self.options.name) {
            return;
        }
        let meant_for = wm.and_then(|wm| wm.target_instance);
        if meant_for.is_some_and(|instance| instance != self.instance) {
            if let Some(callback_id) = callback_id {
                let way_back = self.way_back(&sender, callback_id);
                self.answer_later(way_back, Err(Missing::Restarted));
            }
            return;
        }
        self.deliver_event(&event, &sender, payload, callback_id, span, sent);
    }

    fn way_back(self: &Arc<Self>, server: &ServerName, callback_id: String) -> Arc<WayBack> {
        let (inner, server) = (self.clone(), server.clone());
        Arc::new(WayBack {
            inner,
            server,
            callback_id,
            answered: AtomicBool::new(false),
            tracked: self.answering.token(),
        })
    }

    /// Hands an event, from another server or this one, to the listeners. Never waits.
    pub(crate) fn deliver_event(
        self: &Arc<Self>,
        event: &str,
        sender: &ServerName,
        payload: Payload,
        callback_id: Option<String>,
        span: tracing::Span,
        sent: Option<Instant>,
    ) {
        let way_back = callback_id.map(|callback_id| self.way_back(sender, callback_id));
        if event == gather::QUERY {
            if let Some(way_back) = way_back {
                self.answer_later(way_back, self.answer_query(&payload));
            }
            return;
        }
        if event == catchup::WANTED {
            if let Some(way_back) = way_back {
                self.answer_later(way_back, self.answer_wanted());
            }
            return;
        }
        let name: Arc<str> = Arc::from(event);
        let age = sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        let dispatched = self.listeners.dispatch(event, sent, || ServerEvent {
            event: name.clone(),
            sender: sender.clone(),
            payload: payload.clone(),
            span: span.clone(),
            age,
            way_back: way_back.clone(),
        });
        let refusal = match dispatched {
            Dispatched::Taken => return,
            Dispatched::Nobody => Missing::Unhandled,
            Dispatched::Overloaded => {
                self.metrics.events_refused.inc();
                tracing::warn!(event, %sender, "event refused: its listener has too many waiting");
                Missing::Overloaded
            }
        };
        if let Some(way_back) = way_back {
            self.answer_later(way_back, Err(refusal));
        }
    }

    /// Answers without making the way in wait for a publish.
    pub(crate) fn answer_later(self: &Arc<Self>, way_back: Arc<WayBack>, reply: Result<Payload, Missing>) {
        let task = async move {
            if let Err(error) = way_back.answer(reply).await {
                tracing::debug!(server = %way_back.server, "could not answer: {error}");
            }
        };
        self.tasks.spawn_on(task.in_current_span(), &self.runtime);
    }

    /// Everyone here leaves the room, but those who joined it after a copy was sent.
    pub(crate) async fn remove_room_here(self: &Arc<Self>, room: &crate::wire::Room, sent: Option<Instant>) {
        let younger = self.hub.younger_members(room, sent);
        for client in self.hub.members(room) {
            if !younger.contains(&client) {
                self.leave(&client, room).await;
            }
        }
    }
}
