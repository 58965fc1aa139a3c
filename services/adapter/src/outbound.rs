//! The way out: an envelope is made, a node is chosen, the bytes go through it; a refused publish goes to another node.
//!
//! `replay` (keeping what was published, for nodes that die with it) will hang here: `Inner::send` is where every
//! envelope passes with its channel and the node that took it.

use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::timeout;
use tracing::Instrument;

use crate::adapter::Inner;
use crate::error::{Missing, PublishError};
use crate::nodes::{Channel, Mask, Strategy, indexes, nth, rendezvous};
use crate::trace;
use crate::wire::{Body, Envelope, Identity, Instance, Payload, ServerName, Topic, Wm};

/// Who must hear the node that a message takes.
pub(crate) enum Concerned<'a> {
    /// Every counted server: anyone may have subscribed.
    Everyone,
    /// One server.
    Server(&'a ServerName),
}

/// What is special about an envelope's `wm`.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// The process that a request is for.
    pub(crate) target_instance: Option<Instance>,
    /// Why a reply is none.
    pub(crate) error: Option<Missing>,
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}

impl Inner {
    /// Publishes one message. Says how many servers received it, this one included if it subscribes; 0 in single-server
    /// mode.
    pub(crate) async fn publish(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        extras: Extras,
    ) -> Result<u64, PublishError> {
        if self.nodes.is_empty() {
            return Ok(0);
        }
        let span = trace::publish_span(topic);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut wm = Wm::new(
            Identity {
                instance: self.instance,
                sequence,
            },
            now_ms(),
        );
        wm.target_instance = extras.target_instance;
        wm.error = extras.error.map(|missing| missing.label().into());
        trace::inject(&span, &mut wm);
        let envelope = Envelope {
            sender: self.options.name.clone(),
            wm: Some(wm),
            body,
        };
        let bytes = envelope.encode(self.options.encoding)?;
        let channel = self.channels.channel(topic);
        let result = self.route(&channel, concerned, bytes).instrument(span.clone()).await;
        if let Err(error) = &result {
            span.record("error.type", error.label());
        }
        result
    }

    async fn route(&self, channel: &Channel, concerned: Concerned<'_>, bytes: Bytes) -> Result<u64, PublishError> {
        let mut mine = self.heard_mask(Instant::now());
        if mine == 0 {
            mine = self.heard_soon().await;
        }
        let choices = self.choices.load();
        match concerned {
            Concerned::Server(server) => {
                let common = choices.with_server(server, mine);
                if common == 0 && mine != 0 {
                    return Err(PublishError::NoCommonNode(server.clone()));
                }
                self.one_of(channel, common, &bytes).await
            }
            Concerned::Everyone => {
                let common = choices.with_everyone(mine);
                if common != 0 || mine == 0 {
                    return self.one_of(channel, common, &bytes).await;
                }
                let cover = choices.cover(mine).ok_or(PublishError::Isolated)?;
                self.metrics.rerouted.with_label_values(&["cover"]).inc();
                self.all_of(channel, cover, &bytes).await
            }
        }
    }

    /// Through one of these nodes; the next one when it refuses.
    async fn one_of(&self, channel: &Channel, mut usable: Mask, bytes: &Bytes) -> Result<u64, PublishError> {
        let mut refused = None;
        while let Some(index) = self.pick(channel, usable) {
            match self.send(index, channel, bytes.clone()).await {
                Ok(receivers) => return Ok(receivers),
                Err(error) => {
                    self.metrics.rerouted.with_label_values(&["refused"]).inc();
                    usable &= !(1 << index);
                    refused = Some(error);
                }
            }
        }
        Err(refused.unwrap_or(PublishError::Isolated))
    }

    /// Through all of these nodes; receivers drop the second copy.
    async fn all_of(&self, channel: &Channel, nodes: Mask, bytes: &Bytes) -> Result<u64, PublishError> {
        let mut sum = 0;
        let mut refused = None;
        for index in indexes(nodes) {
            match self.send(index, channel, bytes.clone()).await {
                Ok(receivers) => sum += receivers,
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(sum), Err)
    }

    fn pick(&self, channel: &Channel, usable: Mask) -> Option<usize> {
        match self.options.strategy {
            Strategy::Ordered => rendezvous(channel, usable, |index| self.nodes[index].id.as_str()),
            Strategy::Random => nth(usable, rand::random()),
            Strategy::RoundRobin => nth(usable, self.turn.fetch_add(1, Ordering::Relaxed)),
            Strategy::Fastest => indexes(usable).min_by_key(|&index| self.nodes[index].health.rtt()),
        }
    }

    async fn send(&self, index: usize, channel: &Channel, bytes: Bytes) -> Result<u64, PublishError> {
        let node = &self.nodes[index];
        let start = Instant::now();
        let result = node.publish(channel, bytes, self.options.command_timeout).await;
        let id = node.id.as_str();
        let label = if result.is_ok() { "ok" } else { "error" };
        self.metrics.publish.with_label_values(&[id, label]).inc();
        self.metrics
            .publish_seconds
            .with_label_values(&[id])
            .observe(start.elapsed().as_secs_f64());
        tracing::Span::current().record("server.address", id);
        result.map_err(|error| PublishError::Refused {
            node: id.to_owned(),
            problem: error.to_string(),
        })
    }

    /// The clock says that no node is heard. If connections stand, that may only mean that this process was stopped for a
    /// while: one probe tells, and is waited for, at most one interval.
    async fn heard_soon(&self) -> Mask {
        let heard = self.heard.notified();
        tokio::pin!(heard);
        heard.as_mut().enable();
        let mine = self.heard_mask(Instant::now());
        let asked = self.nodes.iter().filter(|node| node.probe_now()).count();
        if mine != 0 || asked == 0 {
            return mine;
        }
        // Not heard in time is what the mask says, too.
        let _ = timeout(self.options.probe_interval, heard).await;
        self.heard_mask(Instant::now())
    }

    /// The nodes that this server hears now.
    pub(crate) fn heard_mask(&self, now: Instant) -> Mask {
        let heard = self.nodes.iter().filter(|node| node.health.heard(now));
        heard.fold(0, |mask, node| mask | 1 << node.index)
    }

    /// Answers a request.
    pub(crate) async fn send_reply(
        &self,
        server: &ServerName,
        callback_id: &str,
        reply: Result<Payload, Missing>,
    ) -> Result<(), PublishError> {
        if *server == self.options.name {
            self.requests.on_reply(callback_id, server, reply);
            return Ok(());
        }
        let (payload, error) = match reply {
            Ok(payload) => (payload, None),
            Err(missing) => (Payload::null(), Some(missing)),
        };
        let body = Body::Reply {
            callback_id: callback_id.to_owned(),
            payload,
        };
        let extras = Extras {
            error,
            ..Extras::default()
        };
        self.publish(&Topic::Server(server.clone()), Concerned::Server(server), body, extras)
            .await
            .map(drop)
    }
}
