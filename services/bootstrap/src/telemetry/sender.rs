//! Sends to the real address of a collector and does not reveal it. Whatever the collector answers, it costs bounded time and memory.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, HeaderValue};
use axum::http::uri::Uri;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::blocking::Client;

use super::attempts::Attempts;

/// Most of an answer that is read: an answer of OTLP has some bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The HTTP client of exporters. Clones share their attempts.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(super) client: Client,
    pub(super) uri: Uri,
    pub(super) authorization: Option<HeaderValue>,
    /// For all attempts of a batch together.
    pub(super) timeout: Duration,
    pub(super) attempts: Arc<Attempts>,
}

impl Sender {
    /// How sending goes.
    pub(crate) fn attempts(&self) -> Arc<Attempts> {
        self.attempts.clone()
    }

    /// For what is sent beside the batches: it is sent once and at once, in half the time, and what comes of it changes nothing for them.
    pub(super) fn beside(&self) -> Self {
        let attempts = Arc::new(Attempts::new());
        attempts.end();
        Self {
            timeout: self.timeout / 2,
            attempts,
            ..self.clone()
        }
    }

    fn once(&self, request: Request<Bytes>, limit: Duration) -> Result<Response<Bytes>, HttpError> {
        let until = Instant::now() + limit;
        let request = reqwest::blocking::Request::try_from(request);
        let mut request = request.map_err(told)?;
        *request.timeout_mut() = Some(limit);
        let mut answer = self.client.execute(request).map_err(told)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        *response.body_mut() = body(answer, until);
        Ok(response)
    }
}

/// The body, if it is complete: it says only what a failure is about. The client's time limit is for each read, so a body that comes byte by
/// byte would hold up the exporter for ever.
fn body(mut from: impl Read, until: Instant) -> Bytes {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while bytes.len() <= MAX_ANSWER && Instant::now() < until {
        match from.read(&mut part) {
            Ok(0) => return bytes.into(),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(_) => break,
        }
    }
    Bytes::new()
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl HttpClient for Sender {
    fn send_bytes<'me, 'answer>(
        &'me self,
        mut request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'answer>>
    where
        'me: 'answer,
        Self: 'answer,
    {
        *request.uri_mut() = self.uri.clone();
        if let Some(value) = &self.authorization {
            // OTEL_EXPORTER_OTLP_HEADERS has priority.
            request
                .headers_mut()
                .entry(AUTHORIZATION)
                .or_insert_with(|| value.clone());
        }
        // It blocks, as the client does: only the exporter's own thread polls it.
        let once = move |left| self.once(request.clone(), left);
        Box::pin(async move { self.attempts.send(self.timeout, once) })
    }
}

/// An error with its causes, which reqwest's own text leaves out, and without the address.
fn told(error: reqwest::Error) -> HttpError {
    chain(&error.without_url()).into()
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
