//! Error codes in replies: stable strings that a client can act on.

use std::fmt;

/// Why a request was not done. Sent as `errorCode`, beside a text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The frame is not one of the protocol.
    BadFrame,
    /// Nobody handles this event.
    UnknownEvent,
    /// The payload is not what the event needs.
    BadPayload,
    /// This client may not do that.
    NotAllowed,
    /// The service did not answer in time; it may have done the work.
    Timeout,
    /// No server can do it now; try again later.
    Unavailable,
    /// Too much is waiting; try again later.
    Overloaded,
    /// This client sends too many messages; try again later.
    RateLimited,
    /// The message is larger than allowed.
    TooBig,
    /// Something that is asked for does not exist (any more).
    NotFound,
    /// A fault of the server.
    Internal,
}

impl ErrorCode {
    /// The code as it is written in a frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "BAD_FRAME",
            Self::UnknownEvent => "UNKNOWN_EVENT",
            Self::BadPayload => "BAD_PAYLOAD",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::RateLimited => "RATE_LIMITED",
            Self::TooBig => "TOO_BIG",
            Self::NotFound => "NOT_FOUND",
            Self::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
