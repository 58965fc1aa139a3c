//! The way out: an envelope is made, takes a node, or waits for one.
//!
//! A message visits `seal` (its envelope), then `route` (a node), and `outage` only if no node takes it. An accepted
//! message is published, or its loss is reported.

use std::sync::Arc;

use tokio::time::timeout;
use tracing::Instrument;

use super::debt_book::DebtBook;
use super::foundation::Foundation;
use super::members::Members;
use super::outage::{Outage, Published};
use super::route::{Prospect, Router};
use super::seal::{Concerned, PublishOptions, Sealer};
use crate::error::PublishError;
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
    outage: Arc<Outage>,
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
            outage: Arc::new(Outage::new(foundation, router.clone(), copies.clone())),
            router,
            window,
            copies,
            debts,
            metrics: foundation.metrics.clone(),
            options,
        }
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    pub(crate) fn largest(&self) -> &Arc<Largest> {
        &self.largest
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    pub(crate) fn outage(&self) -> &Arc<Outage> {
        &self.outage
    }

    pub(crate) fn window(&self) -> &Arc<Window> {
        &self.window
    }

    pub(crate) fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    pub(crate) fn debts(&self) -> &DebtBook {
        &self.debts
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
        let span = trace::publish_span(topic);
        let is_awaited = options.is_awaited;
        let message = self.sealer.seal(topic, concerned, body, options, &span)?;
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
