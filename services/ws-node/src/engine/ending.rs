//! How a connection ends: what the server says, and what is counted and logged.

use std::sync::Arc;
use std::time::Duration;

use wsmesh_adapter::Dismissal;
use wsmesh_protocol::CloseCode;

/// What the close frame to a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: u16,
    pub(crate) reason: Arc<str>,
}

impl Farewell {
    pub(crate) fn new(code: CloseCode, reason: impl Into<Arc<str>>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
        }
    }
}

impl From<Dismissal> for Farewell {
    fn from(Dismissal { code, reason }: Dismissal) -> Self {
        Self { code, reason }
    }
}

/// For a client that is to come back after a random delay within this time.
pub(crate) fn come_back_within(spread: Duration) -> Farewell {
    let delay_ms = rand::random_range(0..=spread.as_millis() as u64);
    let reason = CloseCode::ServiceRestart.reason_with_delay(delay_ms);
    Farewell::new(CloseCode::ServiceRestart, reason)
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The close code; None if the connection broke, or if the client gave none.
    pub(crate) code: Option<u16>,
    pub(crate) initiator: Initiator,
    /// The initiator's reason; empty if it gave none. A client's reason is never logged.
    pub(crate) reason: Arc<str>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initiator {
    Client,
    Server,
}

impl Initiator {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}
