//! Limits of connections, handed in when a shard starts.

use std::time::Duration;

use super::decoder::Accepts;
use super::pressure::Budget;

/// What every connection of a shard is held to.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Largest message of a client, in bytes.
    pub(crate) max_message_bytes: usize,
    /// Whether binary messages are accepted.
    pub(crate) binary: bool,
    /// Messages to clients of at least this size are compressed, where that was agreed on. None: nothing is.
    pub(crate) deflate_above: Option<usize>,
    pub(crate) ping_interval: Duration,
    /// How long a client may stay in the background.
    pub(crate) background: Duration,
    /// How much may wait for all clients together.
    pub(crate) budget: Budget,
    /// How long a stream may accept no data while some waits.
    pub(crate) write_timeout: Duration,
    /// How long a close handshake may take.
    pub(crate) close_timeout: Duration,
    /// How long a message may take from its first byte to its last.
    pub(crate) message_timeout: Duration,
    /// How long a request may take to be answered.
    pub(crate) request_timeout: Duration,
    /// Clients that are sent away reconnect within this time.
    pub(crate) reconnect_spread: Duration,
    /// Older connections are sent away. Zero: no limit.
    pub(crate) max_connection_age: Duration,
}

impl Settings {
    /// What a decoder accepts of a client; `deflate`: compression was agreed on.
    pub(crate) fn accepts(&self, deflate: bool) -> Accepts {
        Accepts {
            max_message: self.max_message_bytes,
            binary: self.binary,
            deflate,
        }
    }

    /// The shortest time limit that the sweep checks.
    pub(super) fn shortest(&self) -> Duration {
        self.ping_interval
            .min(self.background)
            .min(self.write_timeout)
            .min(self.message_timeout)
            .min(self.close_timeout)
    }
}
