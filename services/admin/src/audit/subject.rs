//! A request that is recorded when it has ended: what it is about, and what came of it. Shared by the layer that records, the layer of
//! keys, whose requests run on without their callers, and the handler. The last that lets go of it records it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::book::Audit;
use super::record::{Entry, went_away};
use crate::access::Caller;

/// A request that is recorded. An extractor: handlers take it as an argument. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// None: it is not recorded.
    pending: Option<Pending>,
    name: OnceLock<String>,
    /// None: it had no answer before its caller went away.
    status: OnceLock<StatusCode>,
    /// Its handler recorded what it did itself.
    recorded: AtomicBool,
    /// It was recorded when it came first.
    repeated: AtomicBool,
}

/// What is known of a request when it comes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) audit: Audit,
    pub(super) caller: Caller,
    pub(super) action: String,
    /// What the path names.
    pub(super) target: String,
    /// The trace that the caller names.
    pub(super) trace_id: Option<String>,
}

impl Subject {
    /// A request that is recorded.
    pub(super) fn of(pending: Pending) -> Self {
        let mut inner = Inner::default();
        inner.pending = Some(pending);
        Self(Arc::new(inner))
    }

    /// Names the target: `node redis-3`. The first name counts. Never a payload, and no address with a password.
    pub(crate) fn name(&self, target: impl Into<String>) {
        // It has a name already.
        let _ = self.0.name.set(target.into());
    }

    /// What the request did is recorded already, by its handler. If the request is not successful, it is recorded all the same.
    pub(crate) fn recorded(&self) {
        self.0.recorded.store(true, Relaxed);
    }

    /// The request repeats another one, which has its record, and does nothing itself.
    pub(crate) fn repeats(&self) {
        self.0.repeated.store(true, Relaxed);
    }

    /// What came of it. The first answer counts.
    pub(crate) fn answered(&self, status: StatusCode) {
        // It is the same answer.
        let _ = self.0.status.set(status);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let status = self.status.get().copied().unwrap_or_else(went_away);
        let is_recorded = status.is_success() && *self.recorded.get_mut();
        if status == StatusCode::METHOD_NOT_ALLOWED || is_recorded || *self.repeated.get_mut() {
            return;
        }
        let target = self.name.get().unwrap_or(&pending.target);
        let mut entry = Entry::new(pending.action, target, status);
        entry.trace_id = pending.trace_id;
        pending.audit.record(&pending.caller, entry);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Subject {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
