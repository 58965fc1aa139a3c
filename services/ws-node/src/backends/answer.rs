//! What a backend answered, or why there is no answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;

/// What a backend answered, whatever the status.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the backend asks to wait (`retry-after` in seconds).
    pub(crate) retry_after: Option<Duration>,
    /// Whether the body is a problem (RFC 9457).
    pub(crate) is_problem: bool,
    /// The body, at most `max_reply_bytes`. Empty if it is larger and the status is no success.
    pub(crate) body: Bytes,
}

/// Without the body.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Answer");
        shown.field("status", &self.status).field("bytes", &self.body.len());
        shown.finish_non_exhaustive()
    }
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
