//! A port, and peers that send requests, wait, send byte by byte, or do not read.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// More than fits into all buffers on the way to a peer.
const LARGE: usize = 64 << 20;

struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Notified when a request for `/wait` has arrived.
    arrived: Arc<Notify>,
    /// Lets that request be answered.
    release: Arc<Notify>,
    evicted: Arc<AtomicUsize>,
    /// Notified when a stream of events has ended.
    let_go: Arc<Notify>,
}

fn long() -> Limits {
    Limits {
        head_timeout: Duration::from_secs(60),
        idle_timeout: Some(Duration::from_secs(60)),
        answer_timeout: Duration::from_secs(60),
        grace: PATIENCE,
        ..Limits::keep_alive(64)
    }
}

/// A stream that soon has more to say than fits into all buffers on the way to a peer.
fn events(let_go: Arc<Notify>) -> impl IntoResponse {
    struct Held(Arc<Notify>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let beat = tokio::time::interval(Duration::from_millis(100));
    let beats = futures_util::stream::unfold((beat, Held(let_go)), async |(mut beat, held)| {
        beat.tick().await;
        Some((Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 20]), (beat, held)))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(beats))
}

impl Port {
    async fn open(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, waited) = (Arc::clone(&arrived), Arc::clone(&release));
        let wait = move || async move {
            told.notify_one();
            waited.notified().await;
            "done"
        };
        let let_go = Arc::new(Notify::new());
        let held = Arc::clone(&let_go);
        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/who", get(who))
            .route("/wait", get(wait))
            .route("/large", get(async || Body::from(vec![b'x'; LARGE])))
            .route("/events", get(async move || events(held)))
            .route("/take", post(async |body: String| body));
        let (evicted, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let count = Arc::clone(&evicted);
        let front = Front::new(router, limits).on_eviction(move || _ = count.fetch_add(1, Ordering::Relaxed));
        Self {
            address,
            task: tokio::spawn(serve(listener, front, stop.clone())),
            stop,
            arrived,
            release,
            evicted,
            let_go,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    async fn ends(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("ends").expect("no panic");
    }
}

/// Everything until the end of the connection, which may be a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("answered or closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// One answer of `hello`; the connection stays open.
async fn hello(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("an answer");
        answer.push(byte.expect("the connection is open"));
    }
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(REQUEST.as_bytes()).await.expect("written");
    hello(stream).await;
}

#[tokio::test]
async fn a_burst_of_requests_is_answered_even_if_few_connections_may_wait() {
    let limits = Limits {
        connections: 4,
        waiting: 2,
        idle_timeout: None,
        ..long()
    };
    let port = Port::open(limits).await;
    let mut burst = Vec::new();
    for _ in 0..100 {
        burst.push(port.send(REQUEST).await);
    }
    for stream in &mut burst {
        let answer = rest(stream).await;
        assert!(answer.ends_with("hello"), "{answer:?}");
    }
    assert_eq!(port.evicted.load(Ordering::Relaxed), 0);
    port.ends().await;
}

#[tokio::test]
async fn silent_connections_do_not_block_others() {
    let port = Port::open(Limits {
        waiting: 3,
        idle_timeout: None,
        ..long()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(port.connect().await);
    }
    let mut newcomer = port.send(REQUEST).await;
    assert!(rest(&mut newcomer).await.ends_with("hello"));
    // Each has a moment left for its request, and is counted after that.
    for first in &mut silent[..5] {
        assert_eq!(rest(first).await, "", "it was evicted");
    }
    let mut last = silent.pop().expect("eight");
    last.write_all(REQUEST.as_bytes()).await.expect("written");
    assert!(rest(&mut last).await.ends_with("hello"), "it was not among the first");
    assert!(port.evicted.load(Ordering::Relaxed) >= 5);
    port.ends().await;
}

#[tokio::test]
async fn a_connection_that_had_requests_is_evicted_only_after_those_that_wait_for_longer() {
    let port = Port::open(Limits { waiting: 2, ..long() }).await;
    let mut asks_again = port.connect().await;
    ask(&mut asks_again).await;
    let mut silent = port.connect().await;
    ask(&mut asks_again).await;
    let _newcomer = port.connect().await;
    assert_eq!(rest(&mut silent).await, "", "it waited for longest");
    ask(&mut asks_again).await;
    port.ends().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_with_a_request_in_time_is_kept() {
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(2)),
        ..long()
    };
    let port = Port::open(limits).await;
    let mut stream = port.connect().await;
    ask(&mut stream).await;
    let since = Instant::now();
    ask(&mut stream).await;
    assert_eq!(rest(&mut stream).await, "");
    assert!(since.elapsed() >= Duration::from_secs(2), "{:?}", since.elapsed());
    port.ends().await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let short = Duration::from_millis(100);
    let first = Limits {
        head_timeout: short,
        ..long()
    };
    let port = Port::open(first).await;
    assert_eq!(rest(&mut port.send("GET / HTTP/1.1\r\n").await).await, "");
    port.ends().await;
    let further = Limits {
        idle_timeout: Some(short),
        ..long()
    };
    let port = Port::open(further).await;
    let mut stream = port.send(&format!("{REQUEST}GET / HTTP/1.1\r\n")).await;
    assert!(rest(&mut stream).await.ends_with("hello"));
    port.ends().await;
}

#[tokio::test]
async fn line_ends_alone_are_not_a_head() {
    let limits = Limits {
        head_timeout: Duration::from_millis(100),
        ..long()
    };
    let port = Port::open(limits).await;
    assert_eq!(rest(&mut port.send("\r\n\r\n").await).await, "");
    port.ends().await;
}

#[tokio::test]
async fn many_connections_that_only_seem_to_send_a_request_do_not_delay_others() {
    let port = Port::open(Limits {
        connections: 1_000,
        waiting: 500,
        ..long()
    })
    .await;
    let mut seeming = Vec::new();
    // More than are read at once.
    for _ in 0..270 {
        seeming.push(port.send("\r\n\r\n").await);
    }
    ask(&mut port.connect().await).await;
    port.ends().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_is_closed() {
    let limits = Limits {
        idle_timeout: Some(Duration::from_millis(200)),
        grace: PATIENCE * 10,
        ..long()
    };
    let port = Port::open(limits).await;
    let mut stream = port.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let begun = timeout(PATIENCE, stream.peek(&mut [0])).await;
    assert_eq!(begun.expect("an answer").expect("open"), 1);
    // The answer is not read until the port has no connections.
    port.stop.cancel();
    timeout(PATIENCE, port.task).await.expect("ends").expect("no panic");
    assert!(rest(&mut stream).await.len() < LARGE);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_503_and_closed() {
    let limits = Limits {
        answer_timeout: Duration::from_millis(200),
        ..long()
    };
    let port = Port::open(limits).await;
    let mut stream = port
        .send("POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        .await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    port.ends().await;
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let port = Port::open(long()).await;
    let mut stream = port
        .send("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let own = stream.local_addr().expect("connected").to_string();
    assert!(rest(&mut stream).await.ends_with(&own));
    port.ends().await;
}

#[tokio::test]
async fn idle_and_half_open_connections_do_not_delay_the_end() {
    let port = Port::open(long()).await;
    let mut idle = port.connect().await;
    ask(&mut idle).await;
    let mut silent = port.connect().await;
    let begin = Instant::now();
    port.ends().await;
    assert_eq!(
        (rest(&mut idle).await, rest(&mut silent).await),
        (String::new(), String::new())
    );
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_running_request_is_finished_at_the_end() {
    let port = Port::open(long()).await;
    let mut stream = port.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    port.arrived.notified().await;
    port.stop.cancel();
    port.release.notify_one();
    assert!(rest(&mut stream).await.ends_with("done"));
    port.ends().await;
}

#[tokio::test]
async fn a_request_that_outlives_the_grace_is_cut_off() {
    let port = Port::open(Limits {
        grace: Duration::from_millis(50),
        ..long()
    })
    .await;
    let mut stream = port.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    port.arrived.notified().await;
    port.stop.cancel();
    assert_eq!(rest(&mut stream).await, "");
    port.ends().await;
}

#[tokio::test]
async fn bytes_that_are_not_http_end_only_their_own_connection() {
    let port = Port::open(long()).await;
    rest(&mut port.send("\x16\x03\x01 no HTTP at all\r\n\r\n").await).await;
    ask(&mut port.connect().await).await;
    port.ends().await;
}

/// A port whose connections may wait for a moment only.
async fn impatient() -> Port {
    let idle_timeout = Some(Duration::from_millis(1_500));
    Port::open(Limits { idle_timeout, ..long() }).await
}

#[tokio::test]
async fn a_stream_of_events_lasts_longer_than_a_connection_may_wait() {
    let port = impatient().await;
    let mut stream = port.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (begun, mut part) = (Instant::now(), vec![0; 1 << 16]);
    while begun.elapsed() < Duration::from_secs(4) {
        let read = timeout(PATIENCE, stream.read(&mut part)).await.expect("events");
        let read = read.expect("the connection is open");
        assert!(read > 0, "it ended after {:?}", begun.elapsed());
    }
    drop(stream);
    port.ends().await;
}

#[tokio::test]
async fn a_stream_of_events_that_nobody_reads_is_closed() {
    let port = impatient().await;
    let stream = port.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let closed = timeout(PATIENCE, port.let_go.notified()).await;
    closed.expect("the port lets go of the stream");
    drop(stream);
    port.ends().await;
}
