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
    /// It contradicts what is already there, such as a higher bid or an earlier request with the same idempotency key.
    Conflict,
    /// An internal error of the server.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the table in the README.
    pub const ALL: [Self; 12] = [
        Self::BadFrame,
        Self::UnknownEvent,
        Self::BadPayload,
        Self::NotAllowed,
        Self::NotFound,
        Self::Conflict,
        Self::TooBig,
        Self::Timeout,
        Self::Unavailable,
        Self::Overloaded,
        Self::RateLimited,
        Self::Internal,
    ];

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
            Self::Conflict => "CONFLICT",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_explains_every_code() {
        let table = include_str!("../README.md")
            .lines()
            .skip_while(|line| !line.starts_with("| error code | meaning |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let explained: Vec<_> = table.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(explained, ErrorCode::ALL.map(ErrorCode::as_str));
    }
}
