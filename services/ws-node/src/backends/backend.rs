//! One backend: sends it events and batches.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryFutureExt;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower::timeout::Timeout;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::{Instrument, Span};
use wsmesh_bootstrap::Live;

use super::answer::{Answer, Failure};
use super::breaker;
use super::destination::{Destination, SIGNED_BY_FORMER};
use super::event::{CloudEvent, put};
use super::exchange::{Exchange, Lost, Outgoing};
use super::metrics::CallMetrics;
use super::retries::Retries;
use super::shared::{Shared, Troubles};
use super::signature::SigningKeys;
use super::trace;

/// `content-type` of a batch of events.
const BATCH: &str = "application/cloudevents-batch+json";

/// Who calls.
const AGENT: &str = concat!("wsmesh/", env!("CARGO_PKG_VERSION"));

/// The time for one request, which may be shorter than that of its backend.
#[derive(Clone)]
struct Limit(Duration);

/// One backend. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Backend {
    inner: Arc<Inner>,
}

struct Inner {
    label: String,
    /// The URL without what may be secret.
    url: String,
    uri: Uri,
    timeout: Duration,
    authorization: Option<Live<HeaderValue>>,
    keys: Option<Live<SigningKeys>>,
    calls: BoxCloneSyncService<Outgoing, Answer, Lost>,
    runtime: Handle,
    metrics: CallMetrics,
    troubles: Arc<Troubles>,
}

impl Backend {
    /// A backend under this label in metrics, which must come from the configuration. The error says what to do.
    pub(crate) fn new(label: &str, destination: Destination, shared: &Shared) -> Result<Self, String> {
        if let Some(problem) = destination.problems().into_iter().next() {
            return Err(problem);
        }
        let metrics = shared.metrics.of(label);
        // Files with secrets are read again there.
        let _on = shared.runtime.enter();
        let inner = Inner {
            label: label.to_owned(),
            url: destination.url.to_string(),
            uri: destination.uri().unwrap_or_default(),
            timeout: destination.timeout,
            authorization: destination.authorization(shared)?,
            keys: destination.signing_keys(shared)?,
            calls: calls(label, &destination, shared, &metrics)?,
            runtime: shared.runtime.clone(),
            metrics,
            troubles: shared.troubles(&destination.url),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends an event, and waits for the answer within this time or the destination's, whichever is shorter. The call begins
    /// now; dropping the future ends it.
    pub(crate) fn post(
        &self,
        event: CloudEvent,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        self.send(within, move || {
            let headers = event.headers();
            (event.id, headers, event.body)
        })
    }

    /// Like [`Backend::post`], with the key by which a client repeats the event: header `idempotency-key`.
    pub(crate) fn post_keyed(
        &self,
        event: CloudEvent,
        key: String,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        self.send(within, move || {
            let mut headers = event.headers();
            put(&mut headers, "idempotency-key", &key);
            (event.id, headers, event.body)
        })
    }

    /// Sends a batch of events, which is JSON; `id` stays the same when it is sent again. Otherwise like [`Backend::post`].
    pub(crate) fn post_batch(
        &self,
        id: String,
        body: Bytes,
        within: Duration,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(BATCH))]);
        self.send(within, move || (id, headers, body))
    }

    /// The backend's answer cannot be used: logged once per URL and minute.
    pub(crate) fn answered_badly(&self, why: &str) {
        if let Some(times) = self.inner.troubles.bad_answers.count() {
            let Inner { label, url, .. } = &*self.inner;
            tracing::warn!(
                backend = label,
                url,
                why,
                times,
                "the answer of a backend cannot be used: correct the backend"
            );
        }
    }

    /// An event was given up before it was sent, for this reason: counted.
    pub(crate) fn not_called(&self, failure: Failure) {
        let result = match failure {
            Failure::Overloaded => "overloaded",
            Failure::TimedOut => "expired",
            Failure::Unavailable | Failure::BadAnswer(_) => "unreachable",
        };
        self.inner.metrics.count(result);
    }

    /// Starts a call on the runtime of the ws-node. What it sends is made there, too.
    fn send(
        &self,
        within: Duration,
        parts: impl FnOnce() -> (String, HeaderMap, Bytes) + Send + 'static,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send + 'static {
        let inner = Arc::clone(&self.inner);
        let span = trace::call_span(&inner.label, &inner.uri);
        let mut traced = HeaderMap::new();
        trace::inject(&span, &mut traced);
        let call = async move {
            let (id, mut headers, body) = parts();
            headers.extend(traced);
            let request = inner.request(&id, headers, body);
            let result = inner.call(request, within).await;
            result.map_err(|lost| Failure::from(&lost))
        };
        let call = AbortOnDropHandle::new(self.inner.runtime.spawn(call.instrument(span)));
        // It panicked, or the runtime ends.
        async move { call.await.unwrap_or(Err(Failure::Unavailable)) }
    }
}

impl Inner {
    fn request(&self, id: &str, mut headers: HeaderMap, body: Bytes) -> Outgoing {
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, HeaderValue::clone(&authorization.current()));
        }
        if let Some(keys) = &self.keys {
            // With a key that was replaced, too: it is not known when the backend learns the new one.
            let keys = keys.in_force(SIGNED_BY_FORMER);
            SigningKeys::sign(&keys, &mut headers, id, Timestamp::now().as_second(), &body);
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }

    async fn call(&self, mut request: Outgoing, within: Duration) -> Result<Answer, Lost> {
        let begun = self.metrics.begin();
        let limit = within.min(self.timeout);
        let result = if limit < self.timeout / 2 {
            // The breaker does not hear of it: the caller is impatient, which is not the backend's fault.
            let limited = tokio::time::timeout(limit, self.calls.clone().oneshot(request)).await;
            limited.unwrap_or(Err(Lost::GivenUp))
        } else {
            request.extensions_mut().insert(Limit(limit));
            self.calls.clone().oneshot(request).await
        };
        let status = result.as_ref().ok().map(|answer| answer.status);
        let label = result.as_ref().map_or_else(Lost::result, |answer| class(answer.status));
        begun.end(label);
        trace::ended(&Span::current(), status, label);
        if let Err(lost) = &result {
            self.log(lost);
        }
        result
    }

    fn log(&self, lost: &Lost) {
        let (label, url) = (&self.label, &self.url);
        let times = match lost {
            Lost::NotSent(_) | Lost::Broken(_) => self.troubles.unreachable.count(),
            Lost::TooSlow => self.troubles.slow.count(),
            Lost::BadAnswer(_) => self.troubles.bad_answers.count(),
            // Counted; where there is trouble, it was logged before.
            Lost::Resting | Lost::Overloaded | Lost::GivenUp => None,
        };
        if let Some(times) = times {
            tracing::warn!(backend = label, url, why = %lost, times, "a call to a backend failed: check that it runs, and that it is reached at this URL");
        }
    }
}

/// What a call consists of, from the outside in: at most so many at once, else an error at once; the breaker; the time limit,
/// which the retries share; the request.
fn calls(
    label: &str,
    destination: &Destination,
    shared: &Shared,
    metrics: &CallMetrics,
) -> Result<BoxCloneSyncService<Outgoing, Answer, Lost>, String> {
    let exchange = Exchange {
        client: shared.client(destination.ca_file.clone())?,
        max_reply_bytes: destination.max_reply_bytes,
    };
    let attempts = ServiceBuilder::new()
        .retry(Retries::new(destination.is_idempotent, metrics.retries.clone())?)
        .service(exchange);
    let longest = destination.timeout;
    let in_time = service_fn(move |request: Outgoing| {
        let limit = request.extensions().get().map_or(longest, |Limit(limit)| *limit);
        Timeout::new(attempts.clone(), limit)
            .oneshot(request)
            .map_err(Lost::from)
    });
    let what = format!("{label} ({})", destination.url);
    let breaker = breaker::layer(destination.breaker, metrics.breaker_open.clone(), what)?;
    let guarded = breaker.layer(in_time).map_err(Lost::from);
    let limited = ServiceBuilder::new()
        .map_err(Lost::from)
        .load_shed()
        .concurrency_limit(destination.max_in_flight)
        // Waits until the breaker has told, which may take a moment: that is no overload.
        .service(service_fn(move |request| guarded.clone().oneshot(request)));
    Ok(BoxCloneSyncService::new(limited))
}

/// The label of an answer in metrics.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
