//! Serves a router on a listener, with bounds: how many connections, how long a request's head may take, how long the
//! end may take. Owns every connection's task and returns only when all of them have ended.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most connections at once; more wait in the listener's backlog. An API for operators, so few are enough.
const MAX_CONNECTIONS: usize = 256;
/// Longest wait for the head of a (next) request, so that an idle or slow peer does not keep a place.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after `accept` failed, for example because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `shutdown`, then lets running requests finish for at most `grace`.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) {
    let connections = TaskTracker::new();
    let abandon = CancellationToken::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some((stream, place)) = next_connection(&listener, &places, &shutdown).await {
        let (router, shutdown, abandon) = (router.clone(), shutdown.clone(), abandon.clone());
        connections.spawn(async move {
            tokio::select! {
                () = connection(stream, router, shutdown, place) => {}
                () = abandon.cancelled() => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "requests did not end in time and are cut off");
        abandon.cancel();
        connections.wait().await;
    }
}

/// `None` when it is time to stop.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accept = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = accept => accepted,
    }
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken, _place: OwnedSemaphorePermit) {
    // Small answers: nothing is gained by waiting to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let serving = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    struct Server {
        address: std::net::SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
        /// Told when a request for `/wait` has arrived.
        arrived: Arc<Notify>,
        /// Lets it answer.
        release: Arc<Notify>,
    }

    impl Server {
        async fn start(grace: Duration) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (told, waited) = (Arc::clone(&arrived), Arc::clone(&release));
            let wait = move || async move {
                told.notify_one();
                waited.notified().await;
                "done"
            };
            let router = Router::new()
                .route("/", get(async || "hello"))
                .route("/wait", get(wait));
            let shutdown = CancellationToken::new();
            let task = tokio::spawn(serve(listener, router, shutdown.clone(), grace));
            Self {
                address,
                shutdown,
                task,
                arrived,
                release,
            }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.expect("connects");
            stream.write_all(text.as_bytes()).await.expect("sends");
            stream
        }

        async fn ended(self) {
            tokio::time::timeout(LIMIT, self.task)
                .await
                .expect("ends in time")
                .expect("does not panic");
        }
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut text))
            .await
            .expect("ends in time");
        // A connection that was cut off may end with an error; what came before it counts.
        read.map_or(String::new(), |_| text)
    }

    #[tokio::test]
    async fn idle_and_half_open_connections_do_not_hold_up_the_end() {
        let server = Server::start(Duration::from_secs(5)).await;
        let mut idle = server.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = vec![0; 12];
        idle.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer, b"HTTP/1.1 200");
        let silent = server.send("").await;
        let begin = Instant::now();
        server.shutdown.cancel();
        rest(idle).await;
        rest(silent).await;
        server.ended().await;
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_running_request_is_finished_at_the_end() {
        let server = Server::start(LIMIT).await;
        let stream = server.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        server.arrived.notified().await;
        server.shutdown.cancel();
        server.release.notify_one();
        assert!(rest(stream).await.ends_with("done"));
        server.ended().await;
    }

    #[tokio::test]
    async fn a_request_that_outlives_the_grace_is_cut_off() {
        let server = Server::start(Duration::from_millis(50)).await;
        let stream = server.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        server.arrived.notified().await;
        server.shutdown.cancel();
        assert_eq!(rest(stream).await, "");
        server.ended().await;
    }

    #[tokio::test]
    async fn bytes_that_are_no_http_end_only_their_own_connection() {
        let server = Server::start(LIMIT).await;
        rest(server.send("\x16\x03\x01 no HTTP at all\r\n\r\n").await).await;
        let stream = server
            .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        assert!(rest(stream).await.ends_with("hello"));
        server.shutdown.cancel();
        server.ended().await;
    }
}
