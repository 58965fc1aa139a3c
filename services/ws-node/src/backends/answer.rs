//! What a backend answered, or why there is no answer.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

/// What a backend answered, whatever the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the backend asks to wait (`retry-after` in seconds).
    pub(crate) retry_after: Option<Duration>,
    /// Whether the body is a problem (RFC 9457).
    pub(crate) is_problem: bool,
    /// The body, at most `max_reply_bytes`.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// `max_in_flight` calls are under way: it was not called.
    #[error("too many calls are under way")]
    Overloaded,
    /// It cannot be reached, its answer broke off, or it failed so often that it is not called for now.
    #[error("it cannot be reached, or its answer broke off")]
    Unavailable,
    /// No complete answer came in time. It may still have done the work.
    #[error("it did not answer in time")]
    TimedOut,
    /// It answered with something that cannot be used: what is wrong.
    #[error("it answered badly: {0}")]
    BadAnswer(&'static str),
}
