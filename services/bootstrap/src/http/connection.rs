//! One connection, from its start to its end or upgrade: TLS if configured, then HTTP/1.1.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Front;
use super::accept::FailureLog;
use super::endless::{Endless, is_endless};
use super::head::{HEAD_BYTES, head_is_here};
use super::idle::Idle;
use super::origin::direct_address;
use super::patience::{Patience, WaitEnd};

/// Most first requests that are read and answered at the same time. Each needs about ten KiB for a moment. If thousands did so at
/// the same time, the allocator would hardly ever return that memory to the system.
const TURNS: usize = 256;

/// After this time a request gives its turn to another one, even if it is not answered or not complete.
const TURN: Duration = Duration::from_millis(100);

/// How long an evicted connection still has for its request. During that time it counts against the limit for all connections, not
/// against the lower one for those that wait.
const LAST_CHANCE: Duration = Duration::from_millis(250);

/// The state that all connections of a port share.
pub(super) struct Served {
    front: Front,
    idle: Arc<Idle>,
    /// Permits for first requests that are being answered.
    turns: Arc<Semaphore>,
    /// Connections that were evicted since the last log line.
    evictions: Mutex<FailureLog>,
}

impl Served {
    pub(super) fn new(front: Front, idle: Arc<Idle>) -> Self {
        Self {
            front,
            idle,
            turns: Arc::new(Semaphore::new(TURNS)),
            evictions: Mutex::default(),
        }
    }

    pub(super) fn grace(&self) -> Duration {
        self.front.limits.grace
    }

    /// Serves a connection to its end. Its waiting time starts now, even if the future is polled later.
    pub(super) fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let origin = direct_address(peer.ip(), &self.front.trusted);
        let patience = Patience::new(Arc::clone(&self.idle), origin);
        patience.begin(self.front.limits.head_timeout);
        self.run(stream, peer, Arc::new(patience), stop)
    }

    async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        patience: Arc<Patience>,
        stop: CancellationToken,
    ) {
        if self.front.limits.idle_timeout.is_some()
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        let Some(acceptor) = self.front.tls.clone() else {
            let head = tokio::select! {
                head = self.wait_for(head_is_here(&stream), &patience) => head,
                () = stop.cancelled() => return,
            };
            let Some(head) = head else { return };
            patience.pause();
            match head {
                Ok(None) => {}
                Ok(Some(garbled)) => {
                    (self.front.was_garbled)();
                    tracing::debug!(?garbled, "a connection started with something that is not a request");
                    return garbled.answer(stream).await;
                }
                Err(error) => return tracing::debug!(%error, "a connection ended before its request"),
            }
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
            // Bytes that look like a head may not be one (only line ends, for example), so the time limit holds until a request has
            // been read.
            patience.begin(self.front.limits.head_timeout);
            return Box::pin(self.speak_http(stream, peer, patience, turn, stop)).await;
        };
        let encrypted = tokio::select! {
            encrypted = self.wait_for(acceptor.accept(stream), &patience) => encrypted,
            () = stop.cancelled() => return,
        };
        let Some(encrypted) = encrypted else { return };
        match encrypted {
            Ok(stream) => Box::pin(self.speak_http(stream, peer, patience, None, stop)).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    }

    /// Waits for something from the peer; `None` if the connection is evicted or waits for too long. An evicted connection gets a
    /// moment more: in a burst of connections, most requests have arrived already and were only not read yet.
    async fn wait_for<T>(&self, expected: impl Future<Output = T>, patience: &Patience) -> Option<T> {
        let mut expected = pin!(expected);
        let why = tokio::select! {
            biased;
            here = &mut expected => return Some(here),
            why = poll_fn(|context| patience.poll(context)) => why,
        };
        if why == WaitEnd::Evicted {
            patience.pause();
            if let Ok(here) = timeout(LAST_CHANCE, expected).await {
                patience.begin(self.front.limits.head_timeout);
                return Some(here);
            }
        }
        self.log(why);
        None
    }

    /// HTTP until the connection ends, is upgraded, or has waited for too long. The turn is given back with the first answer or after
    /// its time: a request that waits for another server (an identity provider, for example) must not delay the others.
    async fn speak_http<S>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        patience: Arc<Patience>,
        turn: Option<OwnedSemaphorePermit>,
        stop: CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let turn = Turn(Arc::new(Mutex::new(turn)));
        let answered = {
            let (served, patience, turn) = (Arc::clone(&self), Arc::clone(&patience), turn.clone());
            service_fn(move |request| {
                patience.end();
                let (served, patience, turn) = (Arc::clone(&served), Arc::clone(&patience), turn.clone());
                async move {
                    let mut answer = served.answer(request, peer).await;
                    turn.give_back();
                    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                        patience.begin(served.until_next());
                    }
                    if is_endless(&answer) {
                        answer = answer.map(|body| Body::new(Endless::new(body, patience, served.until_next())));
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                }
            })
        };
        let connection = http1::Builder::new()
            // `patience` limits the waiting time.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            // A peer that closes its side after its request still gets the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), answered)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut turn_is_over = std::pin::pin!(sleep(TURN));
        let (mut is_stopping, mut had_turn) = (false, false);
        let ended = poll_fn(|context| {
            if !had_turn && turn_is_over.as_mut().poll(context).is_ready() {
                had_turn = true;
                turn.give_back();
            }
            let mut outcome = connection.as_mut().poll(context);
            if outcome.is_pending() && !is_stopping && stopped.as_mut().poll(context).is_ready() {
                if !patience.had_request() {
                    return Poll::Ready(Ok(Ok(())));
                }
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
                outcome = connection.as_mut().poll(context);
            }
            // Patience comes last: it begins and ends while the connection is being polled.
            match outcome {
                Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
                Poll::Pending => patience.poll(context).map(Err),
            }
        });
        match ended.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended"),
            Err(why) => self.log(why),
        }
    }

    /// The router's answer, or 503 if that takes too long.
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = TowerToHyperService::new(self.front.router.clone()).call(request);
        let mut answer = match timeout(self.front.limits.answer_timeout, answering).await {
            Ok(Ok(answer)) => answer,
            Err(_) => overdue(self.front.limits.answer_timeout),
        };
        if self.front.limits.idle_timeout.is_none() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // A connection that is not upgraded must not stay and use up a permit.
            close(&mut answer);
        }
        answer
    }

    fn log(&self, why: WaitEnd) {
        if why == WaitEnd::TimedOut {
            return tracing::debug!("a connection waited too long and is closed");
        }
        (self.front.evicted)();
        let mut evictions = self.evictions.lock();
        if let Some(connections) = evictions.count(Instant::now()) {
            tracing::warn!(
                connections,
                most = self.front.limits.waiting,
                "closed connections without a request to make room for others; a higher limit of open files allows more of them"
            );
        }
    }

    /// How long to wait for the next request. If no further request is allowed, how long the peer may take to read the answer.
    fn until_next(&self) -> Duration {
        let limits = &self.front.limits;
        limits.idle_timeout.unwrap_or(limits.head_timeout)
    }
}

/// The turn of a first request, until it is given back.
#[derive(Clone)]
struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    fn give_back(&self) {
        self.0.lock().take();
    }
}

fn overdue(limit: Duration) -> Response {
    let text = format!("no answer within {} seconds: try again\n", limit.as_secs_f64());
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, Body::from(text)).into_response();
    close(&mut answer);
    answer
}

fn close(answer: &mut Response) {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}
