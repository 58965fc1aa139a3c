//! One request and its answer, as a tower service: the innermost of those that a call consists of.

use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response};
use hyper_util::client::legacy;
use tower::{BoxError, Service};
use wsmesh_bootstrap::Live;

use super::answer::{Answer, Failure};
use super::client::HttpClient;

/// What a request is: its body may have to be sent again.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// `content-type` of a problem (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// Why a request has no answer. Texts are for the log of this server, and hold nothing that the backend sent.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Lost {
    /// The backend has certainly not received it.
    #[error("{0}")]
    NotSent(String),
    /// It may have received it.
    #[error("{0}")]
    Broken(String),
    #[error("{0}")]
    BadAnswer(&'static str),
    #[error("it does not answer in time")]
    TooSlow,
    /// Its caller had less than half of the time that it may take.
    #[error("it does not answer in the time that its caller has")]
    GivenUp,
    /// The breaker is open: it was not called.
    #[error("it failed repeatedly, and is not called for now")]
    Resting,
    #[error("too many calls to it are under way")]
    Overloaded,
}

impl Lost {
    /// The label in metrics.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::BadAnswer(_) => "bad_answer",
            Self::TooSlow => "timeout",
            Self::GivenUp => "given_up",
            Self::Resting => "breaker_open",
            Self::Overloaded => "overloaded",
        }
    }
}

impl From<&Lost> for Failure {
    fn from(lost: &Lost) -> Self {
        match lost {
            Lost::NotSent(_) | Lost::Broken(_) | Lost::Resting => Self::Unavailable,
            Lost::BadAnswer(why) => Self::BadAnswer(why),
            Lost::TooSlow | Lost::GivenUp => Self::TimedOut,
            Lost::Overloaded => Self::Overloaded,
        }
    }
}

/// What the layers of tower around this one report.
impl From<BoxError> for Lost {
    fn from(error: BoxError) -> Self {
        if error.is::<tower::timeout::error::Elapsed>() {
            return Self::TooSlow;
        }
        if error.is::<tower::load_shed::error::Overloaded>() {
            return Self::Overloaded;
        }
        match error.downcast::<Self>() {
            Ok(lost) => *lost,
            Err(error) => Self::Broken(chain(&*error)),
        }
    }
}

/// Sends one request, and reads its answer up to a number of bytes.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) client: Live<HttpClient>,
    pub(super) max_reply_bytes: usize,
}

impl Service<Outgoing> for Exchange {
    type Response = Answer;
    type Error = Lost;
    type Future = BoxFuture<'static, Result<Answer, Lost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        // Connections are made for each request as needed.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Outgoing) -> Self::Future {
        let (sent, most) = (self.client.current().request(request), self.max_reply_bytes);
        Box::pin(async move {
            let response = sent.await.map_err(|error| lost(&error))?;
            read(response, most).await
        })
    }
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Answer, Lost> {
    let (head, body) = response.into_parts();
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if !error.is::<LengthLimitError>() => return Err(Lost::Broken(chain(&*error))),
        Err(_) if head.status.is_success() => {
            return Err(Lost::BadAnswer("its answer is larger than max_reply_bytes"));
        }
        // The status says enough.
        Err(_) => Bytes::new(),
    };
    let header = |name| text(&head.headers, name);
    let kind = header(CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let seconds = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok());
    Ok(Answer {
        status: head.status,
        retry_after: seconds.map(Duration::from_secs),
        is_problem: kind.eq_ignore_ascii_case(PROBLEM),
        body,
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

fn lost(error: &legacy::Error) -> Lost {
    if error.is_connect() || causes(error).any(was_not_taken) {
        Lost::NotSent(chain(error))
    } else {
        Lost::Broken(chain(error))
    }
}

/// Whether nothing of a request was written, or the other side says that it has not handled it (RFC 9113, section 8.7).
fn was_not_taken(error: &(dyn Error + 'static)) -> bool {
    let unwritten = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_canceled);
    let refused = error.downcast_ref::<h2::Error>().is_some_and(|error| {
        error.is_remote() && (error.reason() == Some(h2::Reason::REFUSED_STREAM))
            || error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    });
    unwritten || refused
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error with its causes, each of which leaves out the others.
fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}
