//! Accepts connections and speaks HTTP/1.1 until they upgrade. Bounds what a client can do before that: the time for its
//! request head, the size of it, and how many connections are in this state at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::limits::Peer;

/// Connections that have not upgraded yet. Beyond that, new ones wait in the kernel's queue.
const HANDSHAKES: usize = 4096;

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

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
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
            return self.speak_http(stream, peer, stop).await;
        };
        match timeout(self.head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.speak_http(stream, peer, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn speak_http<S>(self, stream: S, peer: Peer, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router, head_timeout, ..
        } = self;
        let router = TowerToHyperService::new(router);
        let named = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
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
