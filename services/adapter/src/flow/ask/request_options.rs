//! How one request waits, and what its repeats are recognized by: a plain value.

use std::time::Duration;

use crate::flow::inward::event::ServerEvent;

/// Options of one request.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// Longest wait. Default: [`Options::request_timeout`](crate::Options::request_timeout). It travels with the request, so that
    /// no server works for a caller that has given up.
    pub timeout: Option<Duration>,
    /// End as soon as this many servers have replied. Default: when all servers that were asked have. With shared routing, for
    /// targets that are everyone, replies of servers of the JavaScript package count, too.
    pub expected: Option<usize>,
    /// Idempotency key: the same on every repeat of a request that is to be carried out once, and on no other request of this
    /// event, whoever sends it. 1 to [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES) bytes. Default: none.
    ///
    /// A server that gets a request again with its event and key does not hand it to its listeners: the repeat gets the answer of
    /// the first one, as soon as there is one, for two minutes after it. A refusal is such an answer, unless its code is
    /// `OVERLOADED`, `UNAVAILABLE` or `RATE_LIMITED`. Each server knows only its own requests: repeat a request at the same server,
    /// for example with [`Pick::Key`](crate::Pick::Key).
    pub key: Option<String>,
    /// With a key: a number that is different for another request. A request whose key is known with another fingerprint is
    /// refused with `CONFLICT`. Default: a hash of the payload, so a repeat must have the same payload, byte for byte.
    pub fingerprint: Option<u64>,
}

impl RequestOptions {
    /// For a request that is made in order to answer this one: it waits no longer than the sender of this one does.
    ///
    /// ```no_run
    /// use wsmesh_adapter::{Adapter, CallError, Pick, RequestOptions, ServerEvent, ServiceName, Target};
    ///
    /// async fn price(adapter: &Adapter, asked: &ServerEvent) -> Result<u32, CallError> {
    ///     let shop = Target::AnyOf(ServiceName::new("shop").expect("valid"), Pick::LeastBusy);
    ///     adapter.call_typed(shop, "price", "apple", RequestOptions::within(asked)).await
    /// }
    /// ```
    pub fn within(event: &ServerEvent) -> Self {
        Self {
            timeout: event.remaining(),
            ..Self::default()
        }
    }
}
