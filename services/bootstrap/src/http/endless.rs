//! Answers that do not end by themselves: server-sent events. Their connection does not wait for a request. Instead its time limit
//! starts again with each part of the answer that the peer takes, so that a peer that reads nothing is closed in time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::patience::Patience;

/// Whether an answer is a stream of events.
pub(super) fn is_endless(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The body of such an answer.
pub(super) struct Endless {
    body: Body,
    patience: Arc<Patience>,
    at_most: Duration,
}

impl Endless {
    /// The peer must take something within `at_most`, again and again: the body has to have something for it more often.
    pub(super) fn new(body: Body, patience: Arc<Patience>, at_most: Duration) -> Self {
        Self {
            body,
            patience,
            at_most,
        }
    }
}

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let part = Pin::new(&mut self.body).poll_frame(context);
        if part.is_ready() {
            self.patience.begin(self.at_most);
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
