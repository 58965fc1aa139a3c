//! Accepts connections and speaks HTTP/1.1 until they upgrade. Bounds what a client can do before that: the time for its
//! request head, the size of it, and how many connections are in this state at once.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
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
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::garbled::Garbled;
use crate::limits::{Lobby, Peer, Seat, direct_address};
use crate::metrics::{Metrics, Rejected};

/// Connections that have not upgraded yet. Beyond that, new ones wait in the kernel's queue.
const HANDSHAKES: usize = 4096;

/// Of those, the ones whose request has not come. Beyond that, for a new one another gives way: so there is always room for
/// those who ask for something.
const SILENT: usize = HANDSHAKES / 2;

/// Requests that are read and answered at once, of those whose head is complete: each takes some ten KiB for a moment, and
/// what thousands take at once is hardly ever given back.
const TURNS: usize = 256;

/// After this time a request that is still being answered gives its turn to another.
const TURN: Duration = Duration::from_millis(100);

/// How often a connection is looked at whose head comes in pieces: at first, and after a while.
const PIECES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

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
    /// Proxies, whose connections are those of many.
    pub(crate) trusted: Vec<IpNet>,
    pub(crate) metrics: Metrics,
}

/// A lobby for connections whose request has not come, with at most so many of one address (0: no limit).
pub(crate) fn lobby(most_of_one: usize) -> Arc<Lobby> {
    Lobby::new(SILENT, most_of_one)
}

/// Places for requests that are being answered.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TURNS)))
    }
}

/// What a connection holds that others wait for.
type Held = (Option<Seat>, Option<OwnedSemaphorePermit>);

/// Serves until `stop`; returns when every connection has ended or upgraded. Dropping it ends those that have not.
pub(crate) async fn serve(listener: TcpListener, front: Front, lobby: Arc<Lobby>, stop: CancellationToken) {
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
        let (seat, given_up, for_another) = lobby.enter(direct_address(peer.0.ip(), &front.trusted));
        if for_another {
            front.metrics.rejected(Rejected::GaveWay);
        }
        let connection = front.clone().welcome(stream, peer, seat, stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = given_up.happens() => tracing::debug!("a connection gave way to another before its request"),
            }
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
    async fn welcome(self, stream: TcpStream, peer: Peer, seat: Seat, stop: CancellationToken) {
        let Some(acceptor) = &self.tls else {
            let head = tokio::select! {
                head = timeout(self.head_timeout, head_is_here(&stream)) => head,
                () = stop.cancelled() => return,
            };
            return match head {
                Ok(Ok(Some(garbled))) => self.refuse(stream, garbled).await,
                Ok(Ok(None)) => {
                    drop(seat);
                    let turn = Arc::clone(&self.turns.0).acquire_owned().await.ok();
                    Box::pin(self.speak_http(stream, peer, (None, turn), stop)).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended before its request"),
                Err(_) => tracing::debug!("a request head took too long"),
            };
        };
        match timeout(self.head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(self.speak_http(stream, peer, (Some(seat), None), stop)).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn refuse(&self, stream: TcpStream, garbled: Garbled) {
        self.metrics.rejected(Rejected::BadRequest);
        tracing::debug!(?garbled, "a connection brought something else than a request");
        garbled.answer(stream).await;
    }

    /// What is `held` is given back: a seat with the first request, a turn with its answer.
    async fn speak_http<S>(self, stream: S, peer: Peer, held: Held, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router, head_timeout, ..
        } = self;
        let router = TowerToHyperService::new(router);
        let held = Mutex::new(held);
        let named = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (seat, turn) = std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
            drop(seat);
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
            // Who has said all it wanted to say is answered all the same.
            .half_close(true)
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
/// nothing but time, and that hardly. Also when it cannot become one, and then says why.
async fn head_is_here(stream: &TcpStream) -> io::Result<Option<Garbled>> {
    let (mut seen, mut pause) = (0, PIECES.0);
    loop {
        let head = poll_fn(|context| {
            let mut head = [MaybeUninit::uninit(); HEAD_BYTES];
            let mut head = ReadBuf::uninit(&mut head);
            let length = ready!(stream.poll_peek(context, &mut head))?;
            if length == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            let end = end_of(head.filled(), seen);
            let garbled = Garbled::find(&head.filled()[..end.unwrap_or(length)], seen);
            seen = length;
            Poll::Ready(Ok((end.is_some() || length == HEAD_BYTES, garbled)))
        });
        match head.await? {
            (_, Some(garbled)) => return Ok(Some(garbled)),
            (true, None) => return Ok(None),
            (false, None) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(PIECES.1);
    }
}

/// Where a head ends in what came after the first `seen` bytes, in which it does not.
fn end_of(head: &[u8], seen: usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = seen.saturating_sub(END.len() - 1).min(head.len());
    let at = head[from..].windows(END.len()).position(|end| end == END)?;
    Some(from + at + END.len())
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use prometheus::Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("answered or closed");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_it_was_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nmore";
        let end = head.len() - 4;
        for seen in 0..end {
            for length in seen..=head.len() {
                let found = (length >= end).then_some(end);
                assert_eq!(end_of(&head[..length], seen), found, "{seen} {length}");
            }
        }
    }

    #[tokio::test]
    async fn a_head_is_here_with_its_last_byte_and_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound"))
            .await
            .expect("connects");
        let (mut server, _) = listener.accept().await.expect("accepted");
        let mut waiting = Box::pin(head_is_here(&server));
        for byte in &REQUEST[..REQUEST.len() - 1] {
            client.write_all(&[*byte]).await.expect("written");
            let early = timeout(Duration::from_millis(5), &mut waiting).await;
            assert!(early.is_err(), "{early:?}");
        }
        client.write_all(&REQUEST[REQUEST.len() - 1..]).await.expect("written");
        let garbled = timeout(PATIENCE, waiting).await.expect("seen").expect("open");
        assert_eq!(garbled, None);
        let mut head = vec![0; REQUEST.len()];
        server.read_exact(&mut head).await.expect("all of it");
        assert_eq!(head, REQUEST);
        drop(client);
        let ended = timeout(PATIENCE, head_is_here(&server)).await.expect("seen");
        assert_eq!(ended.expect_err("it has ended").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_out() {
        let registry = Registry::new();
        let front = Front {
            router: Router::new().route("/", get(async || "hello")),
            head_timeout: Duration::from_secs(60),
            tls: None,
            turns: Turns::default(),
            trusted: Vec::new(),
            metrics: Metrics::new(&registry).expect("registers"),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, front, Lobby::new(3, 0), stop.clone()));
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.expect("connects"));
        }
        let mut newcomer = TcpStream::connect(address).await.expect("connects");
        newcomer.write_all(REQUEST).await.expect("written");
        assert!(answer(&mut newcomer).await.ends_with("hello"));
        assert_eq!(answer(&mut silent[0]).await, "", "it gave way");
        let mut last = silent.pop().expect("eight");
        last.write_all(REQUEST).await.expect("written");
        assert!(answer(&mut last).await.ends_with("hello"), "it was not among the first");
        stop.cancel();
        timeout(PATIENCE, serving).await.expect("ends").expect("no panic");
    }
}
