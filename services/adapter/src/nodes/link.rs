//! TEMP link seam.
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A Redis channel's name.
pub(crate) type Channel = Arc<str>;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkErrorKind {
    Connect,
    Auth,
    TimedOut,
    Closed,
    Protocol,
    Refused,
}
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct LinkError {
    pub(crate) kind: LinkErrorKind,
    pub(crate) message: String,
}
impl LinkError {
    pub(crate) fn new(kind: LinkErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}
pub(crate) trait Publisher: Send + Sync {
    fn publish<'a>(
        &'a self,
        channel: &'a Channel,
        payload: Bytes,
    ) -> Boxed<'a, Result<u64, LinkError>>;
}
pub(crate) enum Arrival {
    Message { channel: Bytes, payload: Bytes },
    Subscribed(Bytes),
    Unsubscribed(Bytes),
}
pub(crate) trait Subscriber: Send {
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>>;
    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>>;
}
pub(crate) trait Endpoint: Send + Sync {
    fn address(&self) -> String;
    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>>;
    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>>;
}
