//! Where a backend is, and what a call to it may take. Plain values.

use std::path::PathBuf;
use std::time::Duration;

use wsmesh_bootstrap::{HttpUrl, SecretFile};

/// Calls to one backend that may be under way at once, unless it has its own number. More are refused at once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// Largest answer of a backend that is read, in bytes, unless it has its own size.
pub(crate) const MAX_REPLY_BYTES: usize = 256 * 1024;

/// Where a backend is, and what a call to it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) url: HttpUrl,
    /// Longest time for a call, from its beginning to the last byte of the answer.
    pub(crate) timeout: Duration,
    /// Calls that may be under way at once.
    pub(crate) max_in_flight: usize,
    /// Largest answer that is read, in bytes.
    pub(crate) max_reply_bytes: usize,
    /// Whether an event may be sent again, with the same id, when it is not known whether the backend has it.
    pub(crate) is_idempotent: bool,
    /// Signs what is sent (Standard Webhooks).
    pub(crate) signing_key: Option<SecretFile>,
    /// Sent as `authorization: Bearer`.
    pub(crate) bearer_token: Option<SecretFile>,
    /// Certificates (PEM) to trust instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Destination {
    /// With the defaults for all but these two.
    pub(crate) fn new(url: HttpUrl, timeout: Duration) -> Self {
        Self {
            url,
            timeout,
            max_in_flight: MAX_IN_FLIGHT,
            max_reply_bytes: MAX_REPLY_BYTES,
            is_idempotent: false,
            signing_key: None,
            bearer_token: None,
            ca_file: None,
        }
    }

    /// What is wrong with it: sentences that say what to write, each beginning with the key in the configuration file.
    pub(crate) fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}
