//! The channels that this server wants, by topic: held, confirmed by the nodes, released.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::ClientError;
use crate::flow::state::foundation::Foundation;
use crate::nodes::{Channel, Interest};
use crate::wire::{Channels, Topic};

/// The channels that this server wants.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    channels: Arc<Channels>,
    interest: Arc<Interest>,
    is_alone: bool,
    /// Longest wait for nodes to confirm a channel.
    limit: Duration,
}

impl Subscriptions {
    pub(crate) fn new(foundation: &Foundation) -> Self {
        let options = &foundation.options;
        Self {
            channels: foundation.channels.clone(),
            interest: Arc::new(Interest::new(options.unsubscribe_delay)),
            is_alone: foundation.is_alone(),
            limit: options.request_timeout,
        }
    }

    /// Holds the channels that a server always wants.
    pub(crate) fn hold_base(&self, foundation: &Foundation, probe_channel: &Channel) {
        let options = &foundation.options;
        let mut topics = vec![Topic::Server(options.name.clone()), Topic::Servers];
        if options.shards > 0 {
            topics.push(Topic::Clients);
        }
        topics.extend(options.preset_rooms.iter().cloned().map(Topic::Room));
        let topics = topics.iter().map(|topic| self.channels.channel(topic));
        let own = [
            self.channels.own(&options.name),
            self.channels.all_own(),
            self.channels.beacon(),
            probe_channel.clone(),
        ];
        topics
            .chain(own)
            .for_each(|channel| self.interest.hold_always(&channel));
    }

    /// The channels as the nodes' tasks see them.
    pub(crate) fn interest(&self) -> &Arc<Interest> {
        &self.interest
    }

    /// The channel of a topic.
    pub(crate) fn channel(&self, topic: &Topic) -> Channel {
        self.channels.channel(topic)
    }

    /// One more holder wants a channel.
    pub(crate) fn hold(&self, channel: &Channel) {
        self.interest.hold(channel);
    }

    /// One of its holders no longer wants a channel.
    pub(crate) fn release(&self, channel: &Channel) {
        self.interest.release(channel, Instant::now());
    }

    /// Whether this server wants the channel of a topic.
    pub(crate) fn wants(&self, topic: &Topic) -> bool {
        self.interest.wants(&self.channels.channel(topic))
    }

    /// Waits, within a time limit, until every node that this server hears has confirmed a channel.
    pub(crate) async fn confirmed(&self, channel: &Channel) -> Result<(), ClientError> {
        if self.is_alone {
            return Ok(());
        }
        match self.interest.confirmed(channel) {
            None => Ok(()),
            // It holds locally, and goes on in the background.
            Some(waiting) => match timeout(self.limit, waiting).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(ClientError::Unconfirmed),
            },
        }
    }
}
