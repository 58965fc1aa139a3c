//! Each mode of the fault proxy does what its documentation says, and nothing else.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wsmesh_chaos::proxy::{Mode, Proxy};

/// Time limit for anything that must happen.
const SOON: Duration = Duration::from_secs(5);
/// How long to watch for something that must not happen.
const NEVER: Duration = Duration::from_millis(200);

/// A link with both its ends.
struct Link {
    proxy: Proxy,
    node: TcpListener,
}

impl Link {
    async fn new() -> Self {
        let node = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = node.local_addr().expect("bound").port();
        let proxy = Proxy::start(port).expect("a free port");
        Self { proxy, node }
    }

    /// The server's end of a new connection.
    async fn dial(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.proxy.port()))
            .await
            .expect("it listens")
    }

    /// Both ends of a new connection: the server's, the node's.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let server = self.dial().await;
        let (node, _) = timeout(SOON, self.node.accept())
            .await
            .expect("in time")
            .expect("accepted");
        (server, node)
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("written");
}

async fn hear(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut heard))
        .await
        .expect("in time")
        .expect("readable");
    assert_eq!(heard, text.as_bytes());
}

async fn silent(stream: &mut TcpStream) {
    let read = timeout(NEVER, stream.read(&mut [0; 64])).await;
    assert!(read.is_err(), "not silent: {read:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let read = timeout(SOON, stream.read(&mut [0; 64])).await.expect("in time");
    assert_eq!(read.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_pass_both_ways_and_an_end_is_passed_on() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    say(&mut server, "to the node").await;
    hear(&mut node, "to the node").await;
    say(&mut node, "to the server").await;
    drop(node);
    hear(&mut server, "to the server").await;
    assert_eq!(
        timeout(SOON, server.read(&mut [0; 1]))
            .await
            .expect("in time")
            .expect("the end"),
        0
    );
}

#[tokio::test]
async fn a_cut_resets_both_ends_and_refuses_new_connections_until_it_heals() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    link.proxy.set(Mode::Cut);
    is_reset(&mut server).await;
    is_reset(&mut node).await;
    let refused = TcpStream::connect(("127.0.0.1", link.proxy.port())).await;
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::ConnectionRefused);
    link.proxy.set(Mode::Pass);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", link.proxy.port())).await.is_err() {
        assert!(start.elapsed() < SOON, "it does not heal");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_pause_holds_bytes_and_loses_none() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    link.proxy.set(Mode::Pause);
    say(&mut server, "held").await;
    silent(&mut node).await;
    link.proxy.set(Mode::Pass);
    hear(&mut node, "held").await;
}

#[tokio::test]
async fn a_half_open_link_swallows_bytes_and_ends_and_is_reset_afterwards() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    link.proxy.set(Mode::HalfOpen);
    say(&mut server, "swallowed").await;
    silent(&mut node).await;
    drop(node);
    silent(&mut server).await;
    let mut young = link.dial().await;
    silent(&mut young).await;
    link.proxy.set(Mode::Pass);
    is_reset(&mut server).await;
    is_reset(&mut young).await;
}

#[tokio::test]
async fn a_delay_makes_bytes_late_and_keeps_their_order() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    let delay = Duration::from_millis(150);
    link.proxy.set(Mode::Delay(delay));
    let start = Instant::now();
    say(&mut server, "one ").await;
    say(&mut server, "two").await;
    hear(&mut node, "one two").await;
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_throttle_slows_what_goes_to_the_server_only() {
    let link = Link::new().await;
    let (mut server, mut node) = link.connect().await;
    link.proxy.set(Mode::Throttle(10_000));
    // What was about to be read when the mode changed still passes at full speed.
    say(&mut node, "first").await;
    hear(&mut server, "first").await;
    let text = "x".repeat(4_000);
    let start = Instant::now();
    say(&mut server, &text).await;
    hear(&mut node, &text).await;
    assert!(
        start.elapsed() < Duration::from_millis(200),
        "it is slow towards the node"
    );
    let start = Instant::now();
    say(&mut node, &text).await;
    hear(&mut server, &text).await;
    assert!(start.elapsed() > Duration::from_millis(250), "fast towards the server");
}
