//! Chooses a node for a message and publishes through it. A publish that a node rejects goes to another node. Servers that the
//! message did not reach are noted.
//!
//! Every envelope passes [`Router::send`] with its channel and its node, and is kept there for the window. Between choosing
//! and the first poll of the publish nothing is awaited: messages leave in the order of the calls.

use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::debt_book::DebtBook;
use super::seal::Sealer;
use crate::error::PublishError;
use crate::flow::state::choices::{Choices, CurrentChoices, Picker};
use crate::flow::state::foundation::Foundation;
use crate::metrics::Metrics;
use crate::nodes::{Copies, Kept, LinkErrorKind, Mask, Node, Window, indexes};
use crate::options::Options;
use crate::trace;
use crate::wire::{Channels, NodeId};

/// Whether a message may take a node when it could not take one now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// No node is heard, or the connection failed.
    Later,
    /// Nodes are heard and have too much to do.
    Busy,
    /// The node rejects this message, and would reject it again.
    Never,
}

/// Why no node took a message.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: PublishError,
    pub(crate) prospect: Prospect,
}

impl Unsent {
    /// No node is heard.
    fn isolated() -> Self {
        Self {
            error: PublishError::Isolated,
            prospect: Prospect::Later,
        }
    }

    fn refused(node: &NodeId, kind: LinkErrorKind, problem: String) -> Self {
        Self {
            prospect: match kind {
                LinkErrorKind::Connect | LinkErrorKind::TimedOut | LinkErrorKind::Closed | LinkErrorKind::Identity => {
                    Prospect::Later
                }
                LinkErrorKind::Full => Prospect::Busy,
                LinkErrorKind::Auth | LinkErrorKind::Forbidden | LinkErrorKind::Rejected | LinkErrorKind::Protocol => {
                    Prospect::Never
                }
            },
            error: PublishError::Refused {
                node: node.to_string(),
                problem,
            },
        }
    }
}

impl From<PublishError> for Unsent {
    fn from(error: PublishError) -> Self {
        Self {
            error,
            prospect: Prospect::Never,
        }
    }
}

/// Sends messages through nodes.
#[derive(Debug)]
pub(crate) struct Router {
    options: Arc<Options>,
    channels: Arc<Channels>,
    choices: Arc<CurrentChoices>,
    picker: Picker,
    sealer: Arc<Sealer>,
    window: Arc<Window>,
    copies: Arc<Copies>,
    debts: Arc<DebtBook>,
    metrics: Arc<Metrics>,
}

impl Router {
    pub(crate) fn new(
        foundation: &Foundation,
        sealer: Arc<Sealer>,
        window: Arc<Window>,
        copies: Arc<Copies>,
        debts: Arc<DebtBook>,
    ) -> Self {
        let on = foundation.clone();
        Self {
            picker: Picker::new(on.options.strategy),
            options: on.options,
            channels: on.channels,
            choices: on.choices,
            sealer,
            window,
            copies,
            debts,
            metrics: on.metrics,
        }
    }

    /// The nodes' round trips have changed.
    pub(crate) fn judge_fastest(&self, now: Instant) {
        self.picker.judge(&self.choices.load(), now);
    }

    /// Sends a message, or a copy of one, through a node or nodes that everyone concerned hears. The first node is usually the
    /// only one; what else may be needed is boxed, so that the publisher's future stays small.
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
                self.metrics.sending.rerouted.with_label_values(&["refused"]).inc();
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
        choices.pick(&self.picker, message, mine).cloned()
    }

    /// What others hear may change while a node takes its time to reject the message, so it is checked again before each try.
    async fn route_on(
        &self,
        message: &Kept,
        mut tried: Vec<NodeId>,
        mut refused: Option<Unsent>,
    ) -> Result<u64, Unsent> {
        loop {
            let choices = self.choices.load_full();
            let mine = choices.usable(Instant::now()) & !choices.mask_of(&tried);
            let Some(node) = choices.pick(&self.picker, message, mine) else {
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
                    self.metrics.sending.rerouted.with_label_values(&["refused"]).inc();
                    tried.push(node.id.clone());
                    refused = Some(unsent);
                }
            }
        }
    }

    /// No node is heard by all: through the smallest set of these that reaches everyone. Receivers drop the second copy.
    /// A message that a node rejects is tried again as a copy, as long as the window lasts.
    async fn through_several(&self, choices: &Choices, message: &Kept, mine: Mask) -> Result<u64, Unsent> {
        let cover = choices.cover(mine).ok_or_else(Unsent::isolated)?;
        self.metrics.sending.rerouted.with_label_values(&["cover"]).inc();
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

    /// Servers of the JavaScript package would not drop a second copy: through one node only, and servers that do not hear it
    /// are owed the message.
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

    async fn send(&self, node: &Node, message: &Kept) -> Result<u64, Unsent> {
        let start = Instant::now();
        if self.window.push(node.index, message.clone(), start) > 0 {
            self.metrics.sending.evicted.inc();
        }
        let bytes = if message.is_copy || message.waited {
            self.sealer.aged(message, start)?
        } else {
            message.bytes.clone()
        };
        let length = bytes.len() as u64;
        let result = node
            .publish(&message.channel, bytes, self.options.command_timeout)
            .await;
        let id = node.id.as_str();
        let label = if result.is_ok() {
            self.metrics.sending.publish_bytes.inc_by(length);
            "ok"
        } else {
            "error"
        };
        self.metrics.sending.publish.with_label_values(&[id, label]).inc();
        self.metrics
            .sending
            .publish_seconds
            .with_label_values(&[id])
            .observe(start.elapsed().as_secs_f64());
        trace::through(node, result.as_ref().err().map(|error| error.kind.label()));
        result.map_err(|error| Unsent::refused(&node.id, error.kind, error.to_string()))
    }

    /// Notes the servers that a message did not reach, as far as is known now: they are served when a node is shared.
    fn leave_out(&self, message: &Kept, taken: &[NodeId]) {
        let choices = self.choices.load();
        let (used, now) = (choices.mask_of(taken), Instant::now());
        match &message.server {
            Some(server) if choices.with_server(server, used) == 0 => self.debts.missed([server], now),
            Some(_) => {}
            None => self.debts.missed(choices.left_out(used), now),
        }
    }
}
