//! Why a server did not answer a request. The kind travels in the reply of a server that says so itself.

/// Why a server did not answer a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It was alive and did not answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// It left the roster while the request waited.
    #[error("went away before it answered")]
    Gone,
    /// Another process has its name now; the request was for the former one and was not run.
    #[error("was restarted; the request was not run")]
    Restarted,
    /// It has no listener for the event.
    #[error("does not handle this event")]
    Unhandled,
    /// It has too many requests waiting.
    #[error("is overloaded; try again later")]
    Overloaded,
    /// Its answer is larger than any message may be.
    #[error("has an answer that is too large to be sent (--max-publish-bytes)")]
    TooLarge,
    /// Its listener ended without answering.
    #[error("ended without an answer")]
    NoReply,
    /// It does not have the client that the request was for.
    #[error("does not have this client")]
    NotHere,
    /// The request could not be sent to it.
    #[error("could not be reached: {0}")]
    Unreachable(String),
}

impl Missing {
    /// The kind, from a fixed set: safe as a metric label, and what an error reply carries.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Gone => "gone",
            Self::Restarted => "restarted",
            Self::Unhandled => "unhandled",
            Self::Overloaded => "overloaded",
            Self::NoReply => "no-reply",
            Self::TooLarge => "too-large",
            Self::NotHere => "not-here",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Reads what an error reply carries; an unknown label of a newer server counts as no reply.
    pub(crate) fn from_label(label: &str) -> Self {
        match label {
            "restarted" => Self::Restarted,
            "unhandled" => Self::Unhandled,
            "overloaded" => Self::Overloaded,
            "gone" => Self::Gone,
            "timed-out" => Self::TimedOut,
            "not-here" => Self::NotHere,
            "too-large" => Self::TooLarge,
            _ => Self::NoReply,
        }
    }
}
