//! What a client can know about its connection: its current state, and the events that led there.

use std::fmt;
use std::time::Duration;

use crate::{ConnectionError, Room};

/// The current state of the connection. Watched through [`Client::state`](crate::Client::state).
#[derive(Debug, Clone)]
pub enum State {
    /// The task is not started yet, or an attempt is under way.
    Connecting {
        /// Attempts since the last connection that lasted, this one included; zero is the first one.
        repeat: u32,
    },
    /// The connection is open.
    Open,
    /// The connection ended; the next step is not decided yet.
    Closing,
    /// The next attempt starts after a delay.
    Waiting {
        /// Attempts since the last connection that lasted, this one included.
        repeat: u32,
        /// From the moment of this state.
        delay: Duration,
    },
    /// Closed for good, unless [`Client::connect`](crate::Client::connect) is called.
    Closed(End),
}

impl State {
    /// Whether events and requests can be sent now.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether the client is reconnecting.
    pub fn is_reconnecting(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Connecting { repeat: 1.. })
    }
}

/// Why the connection is closed for good.
#[derive(Debug, Clone, thiserror::Error)]
pub enum End {
    /// [`Client::close`](crate::Client::close) was called.
    #[error("closed by the application")]
    ByHand,
    /// Every [`Client`](crate::Client) was dropped.
    #[error("every handle of the client was dropped")]
    ClientDropped,
    /// The connection ended, and [`AutoReconnect`](crate::AutoReconnect) or the server says not to reconnect.
    #[error("{0}")]
    Failed(#[source] ConnectionError),
    /// [`repeat_limit`](crate::Options::repeat_limit) attempts failed.
    #[error("gave up after {repeat} attempts{}", because(.last.as_ref()))]
    RepeatLimit {
        /// Attempts in a row.
        repeat: u32,
        /// How the last one ended; `None` if [`Client::reconnect`](crate::Client::reconnect) ended all of them.
        #[source]
        last: Option<ConnectionError>,
    },
    /// The [`Task`](crate::Task) has ended or was dropped. The client cannot connect again.
    #[error("the connection's task has ended")]
    TaskEnded,
}

fn because(last: Option<&ConnectionError>) -> String {
    last.map(|error| format!(": {error}")).unwrap_or_default()
}

/// An event of the connection. Streamed by [`Client::lifecycle`](crate::Client::lifecycle).
#[derive(Debug, Clone)]
pub enum Lifecycle {
    /// The connection is open. Rooms joined by [`join_room`](crate::Client::join_room) are requested again. The server has
    /// forgotten everything else about the previous connection.
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
    /// The next attempt starts after a delay.
    Reconnecting {
        /// Attempts since the last connection that lasted, this one included.
        repeat: u32,
        /// From now.
        delay: Duration,
    },
    /// After a reconnect the server refuses to let this client join a room again. It is not requested again. Temporary refusals
    /// (`UNAVAILABLE`, `OVERLOADED`, `RATE_LIMITED`, `TIMEOUT`, no reply in time) are not reported: the room is requested again
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
