//! The copies that a server wants: a filter of its channels, made at the moment of asking.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cluster::ChannelFilter;
use crate::nodes::{Channel, Interest};
use crate::wire::{Missing, Payload};

/// The event by which a server is asked what it wants; answered by the adapter itself.
pub(crate) const WANTED: &str = "wsmesh.wanted";

/// What a server wants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    topics: ChannelFilter,
    /// How long it has lived, in milliseconds: it does not take older messages.
    age_ms: u64,
}

impl Wanted {
    /// How long the server had lived when it answered.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_millis(self.age_ms)
    }

    /// Whether the server wants this channel. May say yes for a few that it does not want.
    pub(crate) fn contains(&self, channel: &Channel) -> bool {
        self.topics.contains(channel)
    }
}

/// What this server wants.
#[derive(Debug)]
pub(crate) struct Wants {
    interest: Arc<Interest>,
    started: Instant,
}

impl Wants {
    pub(crate) fn new(interest: Arc<Interest>, started: Instant) -> Self {
        Self { interest, started }
    }

    /// This server's answer to [`WANTED`].
    pub(crate) fn answer(&self) -> Result<Payload, Missing> {
        let wanted = Wanted {
            topics: ChannelFilter::new(&self.interest.channels()),
            age_ms: self.started.elapsed().as_millis() as u64,
        };
        Payload::new(&wanted).map_err(|_| Missing::NoReply)
    }
}
