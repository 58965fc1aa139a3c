//! What a client can know about its connection: the state now, and what happened on the way.

use std::fmt;
use std::time::Duration;

use crate::{ConnectionError, Room};

/// The connection now. Watched through [`Client::state`](crate::Client::state).
#[derive(Debug, Clone)]
pub enum State {
    /// The task is not started yet, or an attempt is under way.
    Connecting {
        /// Attempts since the last connection that stood, this one included; zero is the first one.
        repeat: u32,
    },
    /// It stands.
    Open,
    /// It ended; what follows is not decided yet.
    Closing,
    /// The next attempt comes after a delay.
    Waiting {
        /// Attempts since the last connection that stood, this one included.
        repeat: u32,
        /// From the moment of this state.
        delay: Duration,
    },
    /// For good, unless [`Client::connect`](crate::Client::connect) is called.
    Closed(End),
}

impl State {
    /// Whether events and requests can be sent now.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether a connection that was lost, or never came, is being brought back.
    pub fn is_reconnecting(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Connecting { repeat: 1.. })
    }
}

/// Why the connection is closed for good.
#[derive(Debug, Clone, thiserror::Error)]
pub enum End {
    /// [`Client::close`](crate::Client::close) was called.
    #[error("closed by hand")]
    ByHand,
    /// Every [`Client`](crate::Client) was dropped.
    #[error("nobody uses the client any more")]
    ClientDropped,
    /// The connection ended and [`AutoReconnect`](crate::AutoReconnect) or the server says not to come back.
    #[error("{0}")]
    Failed(#[source] ConnectionError),
    /// As many attempts failed as [`repeat_limit`](crate::Options::repeat_limit) allows.
    #[error("given up after {repeat} attempts{}", because(.last.as_ref()))]
    RepeatLimit {
        /// Attempts in a row.
        repeat: u32,
        /// How the last one ended; none if [`Client::reconnect`](crate::Client::reconnect) ended all of them.
        #[source]
        last: Option<ConnectionError>,
    },
    /// The [`Task`](crate::Task) has ended or was dropped; there is no coming back.
    #[error("the connection's task has ended")]
    TaskEnded,
}

fn because(last: Option<&ConnectionError>) -> String {
    last.map(|error| format!(": {error}")).unwrap_or_default()
}

/// What happened to the connection. Streamed by [`Client::lifecycle`](crate::Client::lifecycle).
#[derive(Debug, Clone)]
pub enum Lifecycle {
    /// A connection stands. Rooms that [`join_room`](crate::Client::join_room) joined are asked for again; what else the
    /// server knew of the one before is gone: say again what must be.
    Opened,
    /// A heartbeat was sent.
    Ping,
    /// A heartbeat was answered.
    Pong {
        /// From sending to receiving.
        latency: Duration,
    },
    /// The connection, or an attempt, ended.
    Ended(ConnectionError),
    /// The next attempt comes after a delay.
    Reconnecting {
        /// Attempts since the last connection that stood, this one included.
        repeat: u32,
        /// From now.
        delay: Duration,
    },
    /// After a reconnect the server does not let this client back into a room. It is not asked for again. Refusals that pass
    /// (`UNAVAILABLE`, `OVERLOADED`, `RATE_LIMITED`, `TIMEOUT`, no reply in time) are not told: the room is asked for again
    /// after a random part of [`fast_reconnect_interval`](crate::Options::fast_reconnect_interval).
    RoomLost {
        /// Which one.
        room: Room,
        /// The server's `errorCode`.
        code: String,
        /// Why, for people.
        text: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { .. } => f.write_str("connecting"),
            Self::Open => f.write_str("open"),
            Self::Closing => f.write_str("closing"),
            Self::Waiting { repeat, delay } => write!(f, "attempt {repeat} in {} ms", delay.as_millis()),
            Self::Closed(end) => write!(f, "closed: {end}"),
        }
    }
}
