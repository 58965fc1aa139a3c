//! Statistics while the API has much to do: over real connections, as a service has it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::fixture::{Cluster, timeout};

/// Connections that send one message after the other.
const SENDERS: usize = 8;

/// Sends to a room, again and again.
async fn sends(address: std::net::SocketAddr, sent: Arc<AtomicU64>) {
    let body = r#"{"event":"x","payload":1}"#;
    let request = format!(
        "POST /api/v1/rooms/chat/lobby/messages HTTP/1.1\r\nhost: admin\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let mut answer = [0; 4096];
    loop {
        stream.write_all(request.as_bytes()).await.expect("open");
        let length = stream.read(&mut answer).await.expect("open");
        assert!(
            answer[..length].starts_with(b"HTTP/1.1 20"),
            "{}",
            String::from_utf8_lossy(&answer[..length])
        );
        sent.fetch_add(1, Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sampling_goes_on_while_requests_come_as_fast_as_they_are_answered() {
    let cluster = Cluster::new().await;
    let _edge = cluster.edge("ws-node-1").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let open = cluster.open();
    let serving = async move { axum::serve(listener, open).await };
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let sent = Arc::new(AtomicU64::default());
    let _senders: Vec<_> = (0..SENDERS)
        .map(|_| AbortOnDropHandle::new(tokio::spawn(sends(address, sent.clone()))))
        .collect();
    let mut snapshots = cluster.statistics.subscribe();
    let mut before = 0;
    for _ in 0..4 {
        timeout(snapshots.changed()).await.expect("samples go on");
        let snapshot = snapshots.borrow_and_update().clone();
        assert!(snapshot.at <= jiff::Timestamp::now());
        before = sent.load(Relaxed).max(before);
    }
    assert!(before > 0, "there was load");
}
