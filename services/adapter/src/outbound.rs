//! The way out: an envelope is made, a node is chosen, the bytes go through it; a refused publish goes to another node.
//!
//! `Inner::send` is where every envelope passes with its channel and its node, and where it is kept for the window. Between
//! choosing and the first poll of the publish nothing is awaited: messages leave in the order of the calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

use crate::adapter::Inner;
use crate::choices::Choices;
use crate::error::{Missing, PublishError};
use crate::nodes::{Kept, LinkErrorKind, Mask, Node, Strategy, indexes, nth, rendezvous};
use crate::outage::{Prospect, Unsent};
use crate::trace;
use crate::wire::{Body, Envelope, Identity, Instance, NodeId, Payload, PayloadError, ServerName, Topic, Wm, compress};

/// Who must hear the node that a message takes.
#[derive(Debug, Clone, Copy)]
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
    /// What orders the message, in place of its topic.
    pub(crate) order_key: Option<Arc<str>>,
    /// The callback id to which a client's answer goes, and how long it is waited for.
    pub(crate) request: Option<(String, Duration)>,
    /// Whoever publishes it wants to know what came of it, and waits while no node is heard; when it stops waiting, the message
    /// is not sent any more. Else the message is accepted and goes out later.
    pub(crate) is_awaited: bool,
}

/// What came of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// So many servers received it, this one included if it subscribes.
    Now(u64),
    /// It goes out as soon as a node is heard.
    Later,
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}

impl Inner {
    /// Publishes one message, or accepts it for when a node is heard; to nobody in single-server mode.
    pub(crate) async fn publish(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        extras: Extras,
    ) -> Result<Published, PublishError> {
        if self.alone {
            return Ok(Published::Now(0));
        }
        if !*self.counted.borrow() {
            Box::pin(self.wait_until_counted()).await?;
        }
        let span = trace::publish_span(topic);
        let is_awaited = extras.is_awaited;
        let message = self.message(topic, concerned, body, extras, &span)?;
        let (bytes, most) = (message.bytes.len() + message.channel.len(), self.largest.now());
        if bytes > most {
            return Err(self.too_large(bytes, most));
        }
        let result = self.carry(message, is_awaited).instrument(span.clone()).await;
        if let Err(error) = &result {
            span.record("error.type", error.label());
        }
        result
    }

    fn message(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        extras: Extras,
        span: &Span,
    ) -> Result<Kept, PublishError> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut wm = Wm::new(
            Identity {
                instance: self.instance,
                sequence,
            },
            now_ms(),
        );
        wm.target_instance = extras.target_instance;
        if let Topic::Custom(name) = topic {
            wm.channel = Some(name.to_string());
        }
        if let Some((callback_id, limit)) = extras.request {
            wm.request = Some(callback_id);
            wm.limit_ms = Some(limit.as_millis() as u64);
        }
        wm.error = extras.error.map(|missing| missing.label().into());
        trace::inject(span, &mut wm);
        let envelope = Envelope {
            sender: self.options.name.clone(),
            wm: Some(wm),
            body,
        };
        let server = match concerned {
            Concerned::Everyone => None,
            Concerned::Server(server) => Some(server.clone()),
        };
        Ok(Kept {
            at: Instant::now(),
            sequence,
            // The original removes a room on one server only, and would throw at an envelope without a frame.
            channel: match &envelope.body {
                Body::RoomRemove { .. } if self.channels.is_shared() => self.channels.all_own(),
                _ => self.channels.channel(topic),
            },
            server,
            bytes: self.encode(&envelope)?,
            is_copy: false,
            was_copied: false,
            waited: false,
            order_key: extras.order_key,
        })
    }

    #[cold]
    fn too_large(&self, bytes: usize, most: usize) -> PublishError {
        self.metrics.unsent.with_label_values(&["too-large"]).inc();
        tracing::debug!(bytes, most, "a message was refused: it is too large");
        PublishError::TooLarge { bytes, most }
    }

    /// Before it counts a server does not know whom it must reach.
    async fn wait_until_counted(&self) -> Result<(), PublishError> {
        let mut counted = self.counted.subscribe();
        let counting = counted.wait_for(|counted| *counted);
        match timeout(self.options.request_timeout, counting).await {
            Ok(_) => Ok(()),
            Err(_) => Err(PublishError::Isolated),
        }
    }

    /// Sends a message, behind those that wait for a node; if none takes it, it waits, too.
    async fn carry(&self, message: Kept, is_awaited: bool) -> Result<Published, PublishError> {
        if !self.waiting.is_next() {
            match self.route(&message).await {
                Ok(receivers) => return Ok(Published::Now(receivers)),
                Err(unsent) if unsent.prospect == Prospect::Later => {}
                Err(unsent) => return Box::pin(self.wait_for_common_node(message, is_awaited, unsent.error)).await,
            }
        }
        Box::pin(self.wait_for_node(message, is_awaited)).await
    }

    /// Sends a message, or a copy of one, through a node or nodes that everyone concerned hears. The first node is usually the
    /// only one; what else may be needed is boxed, so that who publishes stays small.
    pub(crate) async fn route(&self, message: &Kept) -> Result<u64, Unsent> {
        let Some(node) = self.first_choice(message) else {
            return Box::pin(self.route_on(message, Vec::new(), None)).await;
        };
        match self.send(&node, message).await {
            Ok(receivers) => {
                self.leave_out(message, std::slice::from_ref(&node.id));
                Ok(receivers)
            }
            Err(unsent) => {
                self.metrics.rerouted.with_label_values(&["refused"]).inc();
                // Nodes that hang may take their time one after the other.
                let others = self.route_on(message, vec![node.id.clone()], Some(unsent));
                let others = Box::pin(timeout(self.options.command_timeout, others));
                others.await.unwrap_or_else(|_| Err(Unsent::isolated()))
            }
        }
    }

    fn first_choice(&self, message: &Kept) -> Option<Arc<Node>> {
        let choices = self.choices.load();
        let mine = choices.usable(Instant::now());
        self.pick(&choices, message, choices.for_message(message, mine))
            .cloned()
    }

    /// What others hear may change while a node takes its time to refuse, so it is looked at again before each try.
    async fn route_on(
        &self,
        message: &Kept,
        mut tried: Vec<NodeId>,
        mut refused: Option<Unsent>,
    ) -> Result<u64, Unsent> {
        loop {
            let choices = self.choices.load_full();
            let mine = choices.usable(Instant::now()) & !choices.mask_of(&tried);
            let Some(node) = self.pick(&choices, message, choices.for_message(message, mine)) else {
                return match (&message.server, refused) {
                    (Some(server), None) if mine != 0 => Err(PublishError::NoCommonNode(server.clone()).into()),
                    (None, _) if mine != 0 => self.through_several(&choices, message, mine).await,
                    (_, refused) => Err(refused.unwrap_or_else(Unsent::isolated)),
                };
            };
            match self.send(node, message).await {
                Ok(receivers) => {
                    self.leave_out(message, std::slice::from_ref(&node.id));
                    return Ok(receivers);
                }
                Err(unsent) => {
                    self.metrics.rerouted.with_label_values(&["refused"]).inc();
                    tried.push(node.id.clone());
                    refused = Some(unsent);
                }
            }
        }
    }

    /// No node is heard by all: through the smallest set of these that reaches everyone. Receivers drop the second copy.
    /// What a node refuses is tried again as a copy, as long as the window lasts.
    async fn through_several(&self, choices: &Choices, message: &Kept, mine: Mask) -> Result<u64, Unsent> {
        let cover = choices.cover(mine).ok_or_else(Unsent::isolated)?;
        self.metrics.rerouted.with_label_values(&["cover"]).inc();
        let nodes: Vec<_> = indexes(cover).filter_map(|index| choices.nodes.at(index)).collect();
        let results = if self.channels.is_shared() {
            self.first_of(&nodes, message).await
        } else {
            futures_util::future::join_all(nodes.iter().map(|node| self.send(node, message))).await
        };
        let (mut sum, mut taken, mut refused) = (0, Vec::new(), None);
        for (node, result) in nodes.iter().zip(results) {
            match result {
                Ok(receivers) => {
                    sum += receivers;
                    taken.push(node.id.clone());
                }
                Err(unsent) => refused = Some(unsent),
            }
        }
        match refused {
            Some(unsent) if taken.is_empty() => return Err(unsent),
            Some(_) => _ = self.copies.extend([message.clone()]),
            None => {}
        }
        self.leave_out(message, &taken);
        Ok(sum)
    }

    /// Servers of the original would not drop a second copy: through one node only, and whoever does not hear it is owed it.
    async fn first_of(&self, nodes: &[&Arc<Node>], message: &Kept) -> Vec<Result<u64, Unsent>> {
        let mut results = Vec::new();
        for node in nodes {
            let result = self.send(node, message).await;
            let taken = result.is_ok();
            results.push(result);
            if taken {
                break;
            }
        }
        results
    }

    /// Notes whom a message did not reach, by what is known now: it is served when a node is shared.
    fn leave_out(&self, message: &Kept, taken: &[NodeId]) {
        let choices = self.choices.load();
        let (used, now) = (choices.mask_of(taken), Instant::now());
        if let Some(server) = &message.server {
            if choices.with_server(server, used) == 0 {
                self.debts().missed(server, now);
            }
            return;
        }
        let mut left_out = choices.left_out(used).peekable();
        if left_out.peek().is_some() {
            let mut debts = self.debts();
            left_out.for_each(|server| _ = debts.missed(server, now));
        }
    }

    fn pick<'a>(&self, choices: &'a Choices, message: &Kept, usable: Mask) -> Option<&'a Arc<Node>> {
        let nodes = &choices.nodes;
        let id = |index: usize| nodes.at(index).map_or("", |node| node.id.as_str());
        let index = match self.options.strategy {
            Strategy::Ordered => rendezvous(message.order_key.as_ref().unwrap_or(&message.channel), usable, id),
            Strategy::Random => nth(usable, rand::random()),
            Strategy::RoundRobin => nth(usable, self.turn.fetch_add(1, Ordering::Relaxed)),
            Strategy::Fastest => self.fastest.pick(usable, |index| choices.smooth_rtt(index)),
        };
        index.and_then(|index| nodes.at(index))
    }

    async fn send(&self, node: &Node, message: &Kept) -> Result<u64, Unsent> {
        let start = Instant::now();
        if self.window.push(node.index, message.clone(), start) > 0 {
            self.metrics.evicted.inc();
        }
        let bytes = if message.is_copy || message.waited {
            self.aged(message, start)?
        } else {
            message.bytes.clone()
        };
        let result = node
            .publish(&message.channel, bytes, self.options.command_timeout)
            .await;
        let id = node.id.as_str();
        let label = if result.is_ok() { "ok" } else { "error" };
        self.metrics.publish.with_label_values(&[id, label]).inc();
        self.metrics
            .publish_seconds
            .with_label_values(&[id])
            .observe(start.elapsed().as_secs_f64());
        tracing::Span::current().record("server.address", id);
        result.map_err(|error| Unsent {
            prospect: match error.kind {
                LinkErrorKind::Connect | LinkErrorKind::TimedOut | LinkErrorKind::Closed => Prospect::Later,
                LinkErrorKind::Full => Prospect::Busy,
                LinkErrorKind::Auth | LinkErrorKind::Forbidden | LinkErrorKind::Rejected | LinkErrorKind::Protocol => {
                    Prospect::Never
                }
            },
            error: PublishError::Refused {
                node: id.to_owned(),
                problem: error.to_string(),
            },
        })
    }

    /// The nodes that this server hears now.
    pub(crate) fn heard_mask(&self, now: Instant) -> Mask {
        self.choices.load().heard(now)
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
        let is_answer = error.is_none();
        let extras = Extras {
            error,
            ..Extras::default()
        };
        let topic = Topic::Server(server.clone());
        let sent = self.publish(&topic, Concerned::Server(server), body, extras).await;
        if is_answer && matches!(sent, Err(PublishError::TooLarge { .. })) {
            // So that nobody waits for it in vain; this one is small.
            let why = Box::pin(self.send_reply(server, callback_id, Err(Missing::TooLarge)));
            return why.await.and(sent.map(drop));
        }
        sent.map(drop)
    }

    /// The bytes of a copy, or of what had to wait: the envelope as it was, with its age.
    fn aged(&self, copy: &Kept, now: Instant) -> Result<Bytes, PublishError> {
        let unreadable = |why: &dyn std::fmt::Display| PublishError::Refused {
            node: String::new(),
            problem: format!("a copy cannot be made: {why}"),
        };
        let mut envelope = Envelope::decode(copy.bytes.clone()).map_err(|error| unreadable(&error))?;
        let age = now.saturating_duration_since(copy.at).as_millis() as u64;
        if let Some(wm) = &mut envelope.wm {
            wm.age_ms = Some(age);
        }
        Ok(self.encode(&envelope)?)
    }

    /// Custom messages are for other programs, too: they stay readable.
    fn encode(&self, envelope: &Envelope) -> Result<Bytes, PayloadError> {
        let bytes = envelope.encode(self.options.encoding)?;
        let large = self.options.compress_above.is_some_and(|above| bytes.len() >= above);
        let custom = matches!(envelope.body, Body::Custom { .. });
        Ok(if large && !custom {
            compress(bytes, self.instance)
        } else {
            bytes
        })
    }
}
