//! One backend: sends it events and batches.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Answer, Failure};
use super::client::{self, HttpClient};
use super::destination::Destination;
use super::event::CloudEvent;
use super::metrics::BackendMetrics;

/// `content-type` of a batch of events.
const BATCH: &str = "application/cloudevents-batch+json";

/// `content-type` of a problem (RFC 9457).
const PROBLEM: &[u8] = b"application/problem+json";

/// What all backends share: connections, metrics, and the runtime that calls run on.
pub(crate) struct Shared {
    runtime: Handle,
    metrics: BackendMetrics,
    /// By the file with the certificates that are trusted; None: the system's.
    clients: Mutex<HashMap<Option<PathBuf>, HttpClient>>,
}

impl Shared {
    /// Calls run on this runtime.
    pub(crate) fn new(runtime: Handle, metrics: BackendMetrics) -> Self {
        Self {
            runtime,
            metrics,
            clients: Mutex::default(),
        }
    }

    fn client(&self, destination: &Destination) -> Result<HttpClient, String> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&destination.ca_file) {
            return Ok(client.clone());
        }
        let client = client::client(destination.ca_file.as_deref())?;
        clients.insert(destination.ca_file.clone(), client.clone());
        Ok(client)
    }
}

/// One backend. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backend {
    label: String,
    uri: Uri,
    destination: Destination,
    client: HttpClient,
    runtime: Handle,
    metrics: BackendMetrics,
}

impl Backend {
    /// A backend under this label in metrics, which must come from the configuration. The error says what to do.
    pub(crate) fn new(label: &str, destination: Destination, shared: &Shared) -> Result<Self, String> {
        let uri = destination.url.as_url().as_str().parse();
        Ok(Self {
            label: label.to_owned(),
            uri: uri.map_err(|_| format!("{} cannot be called: write http://HOST:PORT/PATH", destination.url))?,
            client: shared.client(&destination)?,
            destination,
            runtime: shared.runtime.clone(),
            metrics: shared.metrics.clone(),
        })
    }

    /// Sends an event, and waits for the answer within this time or the destination's, whichever is shorter. Dropping the
    /// future ends the call.
    pub(crate) fn post(
        &self,
        event: CloudEvent,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        self.send(event.headers(), event.body, within)
    }

    /// Sends a batch of events, which is JSON; `id` stays the same when it is sent again. Otherwise like [`Backend::post`].
    pub(crate) fn post_batch(
        &self,
        id: String,
        body: Bytes,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        let _id = id;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(BATCH))]);
        self.send(headers, body, within)
    }

    fn send(
        &self,
        headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        let (backend, within) = (self.clone(), within.min(self.destination.timeout));
        let call = AbortOnDropHandle::new(self.runtime.spawn(async move {
            let exchange = exchange(backend.client, request, backend.destination.max_reply_bytes);
            let result = tokio::time::timeout(within, exchange)
                .await
                .unwrap_or(Err(Failure::TimedOut));
            let label = if result.is_ok() { "answered" } else { "failed" };
            backend
                .metrics
                .requests
                .with_label_values(&[&*backend.label, label])
                .inc();
            result
        }));
        async move { call.await.unwrap_or(Err(Failure::Unavailable)) }
    }
}

async fn exchange(client: HttpClient, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, Failure> {
    let response = client.request(request).await.map_err(|_| Failure::Unavailable)?;
    let (parts, body) = response.into_parts();
    let head = Response::from_parts(parts, ());
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failure::BadAnswer("its answer is too large"),
        None => Failure::Unavailable,
    })?;
    let header = |name| head.headers().get(name).map(HeaderValue::as_bytes);
    let seconds = header(RETRY_AFTER).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    Ok(Answer {
        status: head.status(),
        retry_after: seconds.map(Duration::from_secs),
        is_problem: header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROBLEM)),
        body: body.to_bytes(),
    })
}
