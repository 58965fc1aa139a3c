//! What a request is about, where its path does not say: its handler names it. Shared by the layer that records and the handler.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

/// The target of a request, for its record. An extractor: handlers take it as an argument. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    name: OnceLock<String>,
    /// Its handler recorded what it did itself.
    recorded: AtomicBool,
}

impl Subject {
    /// Names the target: `node redis-3`. The first name counts. Never a payload, and no address with a password.
    pub(crate) fn name(&self, target: impl Into<String>) {
        // It has a name already.
        let _ = self.0.name.set(target.into());
    }

    /// What the request did is recorded already, by its handler. If the request is not successful, it is recorded all the same.
    pub(crate) fn recorded(&self) {
        self.0.recorded.store(true, Relaxed);
    }

    pub(super) fn is_recorded(&self, status: StatusCode) -> bool {
        status.is_success() && self.0.recorded.load(Relaxed)
    }

    /// The name, if it has one.
    pub(super) fn named(&self) -> Option<&str> {
        self.0.name.get().map(String::as_str)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Subject {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
