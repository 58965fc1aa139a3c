//! Accepts connections and speaks HTTP/1.1 until they upgrade. Bounds what a client can do before that: the time for its
//! request head, the size of it, and how many connections are in this state at once.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::limits::Peer;

/// Connections that have not upgraded yet. Beyond that, new ones wait in the kernel's queue.
const HANDSHAKES: usize = 4096;

/// Requests that are read and answered at once, of those whose head is complete: each takes some ten KiB for a moment, and
/// what thousands take at once is hardly ever given back.
const TURNS: usize = 256;

/// After this time a request that is still being answered gives its turn to another.
const TURN: Duration = Duration::from_millis(100);

/// How often a connection is looked at whose head comes in pieces.
const PIECES: Duration = Duration::from_millis(10);

/// Largest request head.
const HEAD_BYTES: usize = 16 * 1024;

/// After an accept that failed for want of something (descriptors, memory), which only time can give back.
const BREATH: Duration = Duration::from_millis(100);

/// What stands in front of the router.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) router: Router,
    /// For a request's head, and before that for the handshake of TLS.
    pub(crate) head_timeout: Duration,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) turns: Turns,
}

/// Places for requests that are being answered.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }
}

/// Serves until `stop`; returns when every connection has ended or upgraded. Dropping it ends those that have not.
pub(crate) async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) {
    let (permits, mut tasks) = (Arc::new(Semaphore::new(HANDSHAKES)), JoinSet::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        while tasks.try_join_next().is_some() {}
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let connection = front.clone().welcome(stream, peer, stop.clone());
        tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, Peer(address), permit)),
        Err(error) => {
            let is_its_own = matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
            );
            if !is_its_own {
                tracing::warn!(%error, "cannot accept connections; trying again (is the limit of open files too low?)");
                tokio::time::sleep(BREATH).await;
            }
            None
        }
    }
}

impl Front {
    async fn welcome(self, stream: TcpStream, peer: Peer, stop: CancellationToken) {
        let Some(acceptor) = &self.tls else {
            let head = tokio::select! {
                head = timeout(self.head_timeout, head_is_here(&stream)) => head,
                () = stop.cancelled() => return,
            };
            return match head {
                Ok(Ok(())) => {
                    let turn = Arc::clone(&self.turns.0).acquire_owned().await.ok();
                    Box::pin(self.speak_http(stream, peer, turn, stop)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended before its request"),
                Err(_) => tracing::debug!("a request head took too long"),
            };
        };
        match timeout(self.head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(self.speak_http(stream, peer, None, stop)).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    /// `turn` is given back with the first answer.
    async fn speak_http<S>(self, stream: S, peer: Peer, turn: Option<OwnedSemaphorePermit>, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router, head_timeout, ..
        } = self;
        let router = TowerToHyperService::new(router);
        let turn = Mutex::new(turn);
        let named = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let turn = turn.lock().unwrap_or_else(PoisonError::into_inner).take();
            let answering = router.call(request);
            async move {
                let mut answering = Box::pin(answering);
                // Who waits for somebody else, keys of an identity provider say, must not hold up the others.
                let at_once = timeout(TURN, &mut answering).await;
                drop(turn);
                let answer = match at_once {
                    Ok(answer) => answer,
                    Err(_) => answering.await,
                };
                answer.map(for_one_request)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), named)
            .with_upgrades();
        tokio::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}

/// A connection is for one request: what is not upgraded must not stay and take the place of others.
fn for_one_request(mut answer: Response) -> Response {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Resolves when a whole request head has come, or more than one may have: without taking it, so that who drips takes
/// nothing but time.
async fn head_is_here(stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let (length, is_whole) = {
            let mut head = vec![0; HEAD_BYTES];
            let length = stream.peek(&mut head).await?;
            (length, head[..length].windows(4).any(|end| end == b"\r\n\r\n"))
        };
        if is_whole || length == HEAD_BYTES {
            return Ok(());
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sleep(PIECES).await;
    }
}
