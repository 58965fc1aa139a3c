//! A node that this server cannot try to reach, because its URL, or a file named in it, is not usable here. It is never
//! heard, and its status says why.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::inquiry::{Inquiry, Interview};
use super::link::{Boxed, LinkError, LinkErrorKind, Publisher, Subscriber};

/// An endpoint that always fails, with a reason.
pub(crate) struct Unusable {
    pub(crate) address: String,
    pub(crate) problem: String,
}

impl Unusable {
    fn error(&self) -> LinkError {
        LinkError::new(LinkErrorKind::Connect, self.problem.clone())
    }
}

impl Endpoint for Unusable {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn is_encrypted(&self) -> bool {
        false
    }

    fn reach(&self) -> Boxed<'_, Result<(), LinkError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>> {
        Box::pin(async { Err(self.error()) })
    }

    fn interview(&self) -> Boxed<'_, Result<Box<dyn Interview>, LinkError>> {
        Box::pin(async { Err(self.error()) })
    }
}
