//! Why an upgrade is rejected: a status, a sentence, and when to try again.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE};
use axum::response::Response;

use crate::metrics::Rejected;

/// The answer to an upgrade that is rejected.
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    pub(super) why: Rejected,
    text: String,
    /// When to try again at the earliest, where that helps; sent in whole seconds.
    retry_after: Duration,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, why: Rejected, text: String) -> Self {
        Self {
            status,
            why,
            text,
            retry_after: Duration::from_secs(1),
        }
    }

    /// This server sends its clients away.
    pub(super) fn draining() -> Self {
        let text = "this server is shutting down: try another one".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Rejected::Draining, text)
    }

    /// When to try again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: wait,
            ..self
        }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text + "\n"));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from(spread(self.retry_after)));
            }
            _ => {}
        }
        response
    }
}

/// Longest time that clients are asked to wait at least, whatever a connect hook says.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A random number of seconds, up to three times as many, so that clients that were rejected together do not come back
/// together.
fn spread(at_least: Duration) -> u64 {
    let seconds = at_least.min(LONGEST_WAIT).as_secs().max(1);
    rand::random_range(seconds..=3 * seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn clients_that_are_rejected_together_are_told_different_times() {
        let of = |wait: Duration| -> BTreeSet<u64> { (0..500).map(|_| spread(wait)).collect() };
        assert_eq!(of(Duration::ZERO), BTreeSet::from([1, 2, 3]));
        let times = of(Duration::from_secs(10));
        assert!(
            times.len() > 10 && times.iter().all(|time| (10..=30).contains(time)),
            "{times:?}"
        );
        let absurd = of(Duration::from_secs(u64::MAX));
        assert!(absurd.iter().all(|time| (300..=900).contains(time)), "{absurd:?}");
    }
}
