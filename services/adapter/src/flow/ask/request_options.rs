//! How one request waits: a plain value.

use std::time::Duration;

/// Options of one request.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// Longest wait. Default: [`Options::request_timeout`](crate::Options::request_timeout).
    pub timeout: Option<Duration>,
    /// End as soon as this many servers have replied. Default: when all servers that were asked have. With shared routing, for
    /// targets that are everyone, replies of servers of the JavaScript package count, too.
    pub expected: Option<usize>,
    /// Idempotency key: the same on every repeat of a request that is to be carried out once, of 1 to 512 bytes.
    pub key: Option<String>,
}
