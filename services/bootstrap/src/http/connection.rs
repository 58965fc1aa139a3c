//! One connection, from its acceptance to its end or upgrade: TLS if wanted, then HTTP/1.1.

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
use super::accept::Trouble;
use super::head::{HEAD_BYTES, head_is_here};
use super::origin::direct_address;
use super::patience::{NoMore, Patience};
use super::waiting::Lobby;

/// Most first requests that are read and answered at the same time. Each takes some ten KiB for a moment; memory that
/// thousands take at the same time is hardly ever given back to the system.
const TURNS: usize = 256;

/// After this time a request gives its turn to another, though it is not answered or even complete.
const TURN: Duration = Duration::from_millis(100);

/// How long a connection that has to give way has still for its request. For that time it is one of all connections, which are
/// more than may wait.
const LAST_MOMENT: Duration = Duration::from_millis(250);

/// What all connections of a port share.
pub(super) struct Served {
    front: Front,
    lobby: Arc<Lobby>,
    /// Places for first requests that are being answered.
    turns: Arc<Semaphore>,
    /// Connections that gave way since the last log line.
    crowding: Mutex<Trouble>,
}

impl Served {
    pub(super) fn new(front: Front, lobby: Arc<Lobby>) -> Self {
        Self {
            front,
            lobby,
            turns: Arc::new(Semaphore::new(TURNS)),
            crowding: Mutex::default(),
        }
    }

    pub(super) fn grace(&self) -> Duration {
        self.front.limits.grace
    }

    /// Serves a connection to its end. It waits from now on, also before this is polled.
    pub(super) fn welcome(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let origin = direct_address(peer.ip(), &self.front.trusted);
        let patience = Patience::new(Arc::clone(&self.lobby), origin);
        patience.begin(self.front.limits.head_timeout);
        self.introduce(stream, peer, Arc::new(patience), stop)
    }

    async fn introduce(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        patience: Arc<Patience>,
        stop: CancellationToken,
    ) {
        if self.front.limits.idle_timeout.is_some()
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let Some(acceptor) = self.front.tls.clone() else {
            let head = tokio::select! {
                head = self.awaited(head_is_here(&stream), &patience) => head,
                () = stop.cancelled() => return,
            };
            let Some(head) = head else { return };
            patience.pause();
            match head {
                Ok(None) => {}
                Ok(Some(garbled)) => {
                    (self.front.was_garbled)();
                    tracing::debug!(?garbled, "a connection began with something that is not a request");
                    return garbled.answer(stream).await;
                }
                Err(error) => return tracing::debug!(%error, "a connection ended before its request"),
            }
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
            // What looks like a head need not be one (line ends alone, for example), so the time limit holds until a request is
            // read.
            patience.begin(self.front.limits.head_timeout);
            return Box::pin(self.speak(stream, peer, patience, turn, stop)).await;
        };
        let encrypted = tokio::select! {
            encrypted = self.awaited(acceptor.accept(stream), &patience) => encrypted,
            () = stop.cancelled() => return,
        };
        let Some(encrypted) = encrypted else { return };
        match encrypted {
            Ok(stream) => Box::pin(self.speak(stream, peer, patience, None, stop)).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    }

    /// What a connection is waited for, unless it has to give way or waits for too long. A connection that has to give way has
    /// still a moment: in a burst of connections the requests of most are here and only not looked at yet.
    async fn awaited<T>(&self, expected: impl Future<Output = T>, patience: &Patience) -> Option<T> {
        let mut expected = pin!(expected);
        let why = tokio::select! {
            biased;
            here = &mut expected => return Some(here),
            why = poll_fn(|context| patience.poll(context)) => why,
        };
        if why == NoMore::GivesWay {
            patience.pause();
            if let Ok(here) = timeout(LAST_MOMENT, expected).await {
                patience.begin(self.front.limits.head_timeout);
                return Some(here);
            }
        }
        self.tell(why);
        None
    }

    /// HTTP until the connection ends, upgrades, or has waited too long. The turn is given back with the first answer, or
    /// after its time: a request that waits for another server (an identity provider, for example) must not hold up the others.
    async fn speak<S>(
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
                patience.is_asked();
                let (served, patience, turn) = (Arc::clone(&served), Arc::clone(&patience), turn.clone());
                async move {
                    let answer = served.answer(request, peer).await;
                    turn.give_back();
                    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                        patience.begin(served.until_next());
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                }
            })
        };
        let connection = http1::Builder::new()
            // `patience` limits how long a connection may wait.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            // A peer that ends its side after its request gets the answer all the same.
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
                if !patience.was_asked() {
                    return Poll::Ready(Ok(Ok(())));
                }
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
                outcome = connection.as_mut().poll(context);
            }
            // Patience comes last: it begins and ends while the connection is polled.
            match outcome {
                Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
                Poll::Pending => patience.poll(context).map(Err),
            }
        });
        match ended.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended"),
            Err(why) => self.tell(why),
        }
    }

    /// The router's answer, or that it takes too long.
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = TowerToHyperService::new(self.front.router.clone()).call(request);
        let mut answer = match timeout(self.front.limits.answer_timeout, answering).await {
            Ok(Ok(answer)) => answer,
            Err(_) => overdue(self.front.limits.answer_timeout),
        };
        if self.front.limits.idle_timeout.is_none() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // A connection without upgrade must not stay and take the place of others.
            close(&mut answer);
        }
        answer
    }

    fn tell(&self, why: NoMore) {
        if why == NoMore::TooLong {
            return tracing::debug!("a connection waited too long and is closed");
        }
        (self.front.gave_way)();
        let mut crowding = self.crowding.lock();
        if let Some(connections) = crowding.is_to_be_told(Instant::now()) {
            tracing::warn!(
                connections,
                most = self.front.limits.waiting,
                "connections that sent no request were closed to make room for others; their number rises with the limit of open \
                 files"
            );
        }
    }

    /// How long the next request is waited for; if there is to be none, how long the answer may take to be read.
    fn until_next(&self) -> Duration {
        let limits = &self.front.limits;
        limits.idle_timeout.unwrap_or(limits.head_timeout)
    }
}

/// The place of a first request among those that are answered at once, until it is given back.
#[derive(Clone)]
struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    fn give_back(&self) {
        self.0.lock().take();
    }
}

fn overdue(limit: Duration) -> Response {
    let text = format!(
        "there was no answer within {} seconds: try again\n",
        limit.as_secs_f64()
    );
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, Body::from(text)).into_response();
    close(&mut answer);
    answer
}

fn close(answer: &mut Response) {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}
