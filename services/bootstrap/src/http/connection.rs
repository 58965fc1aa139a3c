//! One connection, from its acceptance to its end or upgrade: TLS if wanted, then HTTP/1.1.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Front;
use super::head::{HEAD_BYTES, head_is_here};
use super::lobby::Lobby;
use super::origin::direct_address;
use super::patience::{NoMore, Patience};

/// First requests that are read and answered at once, of those whose head is complete: each takes some ten KiB for a moment,
/// and what thousands take at once is hardly ever given back.
const TURNS: usize = 256;

/// After this time a request that is still being answered gives its turn to another.
const TURN: Duration = Duration::from_millis(100);

/// What all connections of a port share.
pub(super) struct Served {
    front: Front,
    lobby: Arc<Lobby>,
    /// Places for first requests that are being answered.
    turns: Arc<Semaphore>,
}

impl Served {
    pub(super) fn new(front: Front, lobby: Arc<Lobby>) -> Self {
        Self {
            front,
            lobby,
            turns: Arc::new(Semaphore::new(TURNS)),
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
        let patience = Patience::new(Arc::clone(&self.lobby), origin, Arc::clone(&self.front.gave_way));
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
        let (mut turn, waits) = (None, Arc::clone(&patience));
        let no_more = poll_fn(move |context| waits.poll(context));
        let Some(acceptor) = self.front.tls.clone() else {
            let head = tokio::select! {
                head = head_is_here(&stream) => head,
                why = no_more => return tell(why),
                () = stop.cancelled() => return,
            };
            patience.end();
            match head {
                Ok(None) => {}
                Ok(Some(garbled)) => {
                    (self.front.was_garbled)();
                    tracing::debug!(?garbled, "a connection began with something that is not a request");
                    return garbled.answer(stream).await;
                }
                Err(error) => return tracing::debug!(%error, "a connection ended before its request"),
            }
            turn = Arc::clone(&self.turns).acquire_owned().await.ok().or(turn);
            return Box::pin(self.speak(stream, peer, patience, turn, stop)).await;
        };
        let encrypted = tokio::select! {
            encrypted = acceptor.accept(stream) => encrypted,
            why = no_more => return tell(why),
            () = stop.cancelled() => return,
        };
        match encrypted {
            Ok(stream) => Box::pin(self.speak(stream, peer, patience, turn, stop)).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    }

    /// HTTP until the connection ends, upgrades, or is to be waited for no more. The turn is given back with the first answer.
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
        let answered = {
            let (served, patience, turn) = (self, Arc::clone(&patience), Mutex::new(turn));
            service_fn(move |request| {
                patience.end();
                let turn = turn.lock().unwrap_or_else(PoisonError::into_inner).take();
                let (served, patience) = (Arc::clone(&served), Arc::clone(&patience));
                async move {
                    let answer = served.answer(request, peer, turn).await;
                    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                        patience.begin(served.until_next());
                    }
                    Ok::<_, std::convert::Infallible>(answer)
                }
            })
        };
        let connection = http1::Builder::new()
            // Whoever waits is waited for by `patience`.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            // A peer that ends its side after its request gets the answer all the same.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), answered)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let mut stopped = std::pin::pin!(stop.cancelled());
        let mut is_stopping = false;
        let ended = poll_fn(|context| {
            if !is_stopping && stopped.as_mut().poll(context).is_ready() {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // Patience comes last: it begins and ends while the connection is polled.
            match connection.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
                Poll::Pending => patience.poll(context).map(Err),
            }
        });
        match ended.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended"),
            Err(why) => tell(why),
        }
    }

    /// The router's answer, or that it takes too long.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Response {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answering = TowerToHyperService::new(self.front.router.clone()).call(request);
        let mut answering = Box::pin(answering);
        // Who waits for somebody else, keys of an identity provider say, must not hold up the others.
        let at_once = timeout(TURN, &mut answering).await;
        drop(turn);
        let answer = match at_once {
            Ok(answer) => Ok(answer),
            Err(_) => timeout(self.front.limits.answer_timeout, answering).await,
        };
        let mut answer = match answer {
            Ok(Ok(answer)) => answer,
            Err(_) => overdue(self.front.limits.answer_timeout),
        };
        if self.front.limits.idle_timeout.is_none() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // What is not upgraded must not stay and take the place of others.
            close(&mut answer);
        }
        answer
    }

    /// How long the next request is waited for; if there is to be none, how long the answer may take to be read.
    fn until_next(&self) -> Duration {
        let limits = &self.front.limits;
        limits.idle_timeout.unwrap_or(limits.head_timeout)
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

fn tell(why: NoMore) {
    match why {
        NoMore::GivesWay => tracing::debug!("a connection that waited gave way to another"),
        NoMore::TooLong => tracing::debug!("a connection waited too long and is closed"),
    }
}
