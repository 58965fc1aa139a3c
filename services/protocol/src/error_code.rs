//! Error codes in replies and error pushes: stable strings that a client can act on.

use std::fmt;

/// Why a request failed. Sent as `errorCode`, next to a text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The frame does not follow the protocol.
    BadFrame,
    /// Nobody handles this event.
    UnknownEvent,
    /// The payload does not have the shape that the event requires.
    BadPayload,
    /// This client is not allowed to do that.
    NotAllowed,
    /// The service did not answer in time; it may still have done the work.
    Timeout,
    /// No server can handle the request now; try again later.
    Unavailable,
    /// Too many requests are waiting; try again later.
    Overloaded,
    /// This client sends too many messages; try again later.
    RateLimited,
    /// The message is larger than allowed.
    TooBig,
    /// The requested thing does not exist, or no longer exists.
    NotFound,
    /// An internal error of the server.
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
