//! The bodies that are in memory, all together. A request takes its part of the budget before its body is read, and keeps it until
//! it has ended, also if its caller goes away before. A request for which there is no part left is rejected unread.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::overloaded;

/// Most bytes of all bodies together.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The bytes that all bodies may take. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A request's part of the budget, given back when its last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Allowance {
    /// Largest body of the route.
    pub(super) most: u32,
    _part: Arc<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_BYTES)
    }
}

impl Budget {
    /// So many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Bodies of these routes have at most `most` bytes, and their part of the budget. Requests carry it as [`Allowance`].
    pub(super) fn limit<S: Clone + Send + Sync + 'static>(&self, router: Router<S>, most: u32) -> Router<S> {
        let budget = self.clone();
        let allow = move |mut request: Request, next: Next| {
            let budget = budget.clone();
            async move {
                let Some(allowance) = budget.allow(&request, most) else {
                    return rejected();
                };
                request.extensions_mut().insert(allowance.clone());
                let response = next.run(request).await;
                drop(allowance);
                response
            }
        };
        router
            .layer(middleware::from_fn(allow))
            .layer(DefaultBodyLimit::max(most as usize))
    }

    /// As much as the body says that it has, or as it may have.
    fn allow(&self, request: &Request, most: u32) -> Option<Allowance> {
        let said = request.body().size_hint().upper();
        let bytes = said.and_then(|said| u32::try_from(said).ok()).unwrap_or(most).min(most);
        let part = self.0.clone().try_acquire_many_owned(bytes).ok()?;
        Some(Allowance {
            most,
            _part: Arc::new(part),
        })
    }
}

fn rejected() -> Response {
    overloaded("the bodies of too many requests are in memory; try again in a moment, or ask another admin")
        .into_response()
}
