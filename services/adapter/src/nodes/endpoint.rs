//! The trait by which connections to a node are opened: those that carry messages, and one for questions.

use std::sync::Arc;

use super::inquiry::{Inquiry, Interview};
use super::link::{Boxed, LinkError, Publisher, Subscriber};

/// A node to which connections can be opened.
pub(crate) trait Endpoint: Send + Sync {
    /// `host:port`, without credentials.
    fn address(&self) -> String;
    /// Opens a connection for publishing. Dropping the result closes it.
    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>>;
    /// Opens a connection for subscribing. Dropping the result closes it.
    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>>;
    /// Whether its connections are encrypted.
    fn is_encrypted(&self) -> bool;
    /// Finds out whether anything accepts connections there.
    fn reach(&self) -> Boxed<'_, Result<(), LinkError>>;
    /// Opens a connection for questions. Dropping the result closes it.
    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>>;
    /// Opens a connection for questions to an address of which nothing is known yet. Dropping the result closes it.
    fn interview(&self) -> Boxed<'_, Result<Box<dyn Interview>, LinkError>>;
}
