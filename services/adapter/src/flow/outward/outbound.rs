//! The way out: an envelope is made, takes a node, or waits for one.
//!
//! A message visits `seal` (its envelope), then `route` (a node), and `outage` only if no node takes it. An accepted
//! message is published, or its loss is reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span};

use super::debt_book::DebtBook;
use super::outage::{Outage, Published};
use super::route::{Prospect, Router};
use super::seal::{Concerned, PublishOptions, Sealer};
use crate::error::PublishError;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::metrics::Metrics;
use crate::nodes::{Copies, Kept, Largest, Window};
use crate::options::Options;
use crate::trace;
use crate::wire::{Body, Topic};

/// Publishes messages, and keeps them for those that may have missed them.
#[derive(Debug)]
pub(crate) struct Outbound {
    options: Arc<Options>,
    is_alone: bool,
    members: Arc<Members>,
    sealer: Arc<Sealer>,
    /// The largest message that may be published.
    largest: Arc<Largest>,
    router: Arc<Router>,
    outage: Outage,
    /// The messages that were published lately.
    window: Arc<Window>,
    /// The messages that are to be published again.
    copies: Arc<Copies>,
    debts: Arc<DebtBook>,
    metrics: Arc<Metrics>,
}

impl Outbound {
    pub(crate) fn new(foundation: &Foundation) -> Self {
        let options = foundation.options.clone();
        let window = Arc::new(Window::new(options.kept_for(), options.replay_bytes));
        let copies = Arc::<Copies>::default();
        let debts = Arc::new(DebtBook::new(window.clone()));
        let sealer = Arc::new(Sealer::new(foundation));
        let router = Router::new(
            foundation,
            sealer.clone(),
            window.clone(),
            copies.clone(),
            debts.clone(),
        );
        let router = Arc::new(router);
        Self {
            is_alone: foundation.is_alone(),
            members: foundation.members.clone(),
            sealer,
            // A larger message than the window could not be sent again.
            largest: Arc::new(Largest::new(options.max_publish_bytes.min(options.replay_bytes))),
            outage: Outage::new(foundation, router.clone(), copies.clone()),
            router,
            window,
            copies,
            debts,
            metrics: foundation.metrics.clone(),
            options,
        }
    }

    /// Time passes: old messages and servers that are back in reach are forgotten.
    pub(crate) fn tick(&self, now: Instant) {
        self.debts.keep_what_is_owed();
        self.window.sweep(now);
        self.outage.judge_apart(now);
    }

    /// Compares the round trips of the nodes.
    pub(crate) fn judge_fastest(&self, now: Instant) {
        self.router.judge_fastest(now);
    }

    /// The sequence of the next message.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sealer.next_sequence()
    }

    /// The oldest sequence that may still be published again.
    pub(crate) fn mark(&self) -> u64 {
        self.sealer.mark()
    }

    /// Nothing below this sequence will be published again.
    pub(crate) fn move_mark(&self, sequence: u64) {
        self.sealer.set_mark(sequence);
    }

    /// Sends the messages that wait for a node, until it is stopped.
    pub(crate) async fn send_waiting(&self) {
        self.outage.run().await;
    }

    /// No node is heard: messages wait from now on.
    pub(crate) fn close_waiting(&self, now: Instant) {
        self.outage.waiting().close(now);
    }

    /// Other servers may hear a node again, which waiting messages need.
    pub(crate) fn look_again(&self) {
        self.outage.look_again();
    }

    /// How many messages wait for a node.
    pub(crate) fn messages_waiting(&self) -> usize {
        self.outage.waiting().len()
    }

    /// How many copies wait to be published.
    pub(crate) fn copies_waiting(&self) -> usize {
        self.copies.len()
    }

    /// Gives messages that wait for a node this time to find one; how many are left.
    pub(crate) async fn left_after(&self, limit: Duration) -> usize {
        let waiting = self.outage.waiting();
        let emptied = waiting.emptied.notified();
        tokio::pin!(emptied);
        emptied.as_mut().enable();
        if waiting.len() > 0 && timeout(limit, emptied).await.is_err() {
            return waiting.len();
        }
        0
    }

    /// The messages that were published lately, and those to be published again.
    pub(crate) fn replay(&self) -> (Arc<Window>, Arc<Copies>) {
        (self.window.clone(), self.copies.clone())
    }

    /// The largest message that may be published.
    pub(crate) fn largest(&self) -> &Arc<Largest> {
        &self.largest
    }

    /// The messages that other servers may have missed.
    pub(crate) fn debts(&self) -> &DebtBook {
        &self.debts
    }

    pub(in crate::flow) fn router(&self) -> &Router {
        &self.router
    }

    pub(in crate::flow) fn outage(&self) -> &Outage {
        &self.outage
    }

    pub(in crate::flow) fn window(&self) -> &Window {
        &self.window
    }

    pub(in crate::flow) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Publishes one message, or accepts it for when a node is heard; to nobody in single-server mode.
    pub(crate) async fn publish(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        options: PublishOptions,
    ) -> Result<Published, PublishError> {
        if self.is_alone {
            return Ok(Published::Now(0));
        }
        if !self.members.is_counted() {
            Box::pin(self.wait_until_counted()).await?;
        }
        let span = trace::publish_span(topic, self.members.name());
        let is_awaited = options.is_awaited;
        let result = match self.sealed(topic, concerned, body, options, &span) {
            Ok(message) => self.carry(message, is_awaited).instrument(span.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            trace::failed(&span, error.label());
        }
        result
    }

    /// The message, if it is not too large.
    fn sealed(
        &self,
        topic: &Topic,
        concerned: Concerned<'_>,
        body: Body,
        options: PublishOptions,
        span: &Span,
    ) -> Result<Kept, PublishError> {
        let message = self.sealer.seal(topic, concerned, body, options, span)?;
        let (bytes, most) = (message.bytes.len() + message.channel.len(), self.largest.now());
        if bytes > most {
            return Err(self.too_large(bytes, most));
        }
        Ok(message)
    }

    #[cold]
    fn too_large(&self, bytes: usize, most: usize) -> PublishError {
        self.metrics.sending.unsent.with_label_values(&["too-large"]).inc();
        tracing::debug!(bytes, most, "a message was rejected: it is too large");
        PublishError::TooLarge { bytes, most }
    }

    /// Before it counts, a server does not know which servers it must reach.
    async fn wait_until_counted(&self) -> Result<(), PublishError> {
        let mut counted = self.members.counted();
        let counting = counted.wait_for(|counted| *counted);
        match timeout(self.options.request_timeout, counting).await {
            Ok(_) => Ok(()),
            Err(_) => Err(PublishError::Isolated),
        }
    }

    /// Sends a message, behind those that wait for a node; if no node takes it, it waits, too.
    async fn carry(&self, message: Kept, is_awaited: bool) -> Result<Published, PublishError> {
        if !self.outage.waiting().is_next() {
            match self.router.route(&message).await {
                Ok(receivers) => return Ok(Published::Now(receivers)),
                Err(unsent) if unsent.prospect == Prospect::Later => {}
                Err(unsent) => {
                    let waiting = self.outage.wait_for_common_node(message, is_awaited, unsent.error);
                    return Box::pin(waiting).await;
                }
            }
        }
        Box::pin(self.outage.wait_for_node(message, is_awaited)).await
    }
}
