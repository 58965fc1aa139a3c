//! Ten thousand bad tokens: counted, bounded, and other clients do not notice. In a process of its own, whose memory is checked.

mod common;
#[expect(dead_code, reason = "the tests of authentication use all of it")]
#[path = "auth/door.rs"]
mod door;
#[expect(dead_code, reason = "the tests of authentication use all of it")]
#[path = "auth/signer.rs"]
mod signer;

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use ws_node::AuthSettings;

use common::Server;
use door::{counted, door, show};
use signer::Signer;

const CONNECTIONS: usize = 10;
const EACH: usize = 1000;

/// Resident memory of this process, in bytes.
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4096
}

/// Sends bad tokens one after the other, as fast as they are rejected, each on a connection of its own.
async fn refused(server: &Server, token: &str) {
    let request = format!(
        "GET /?token={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for _ in 0..EACH {
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("reads");
        assert!(
            answer.starts_with(b"HTTP/1.1 401 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(answer.ends_with(b"with `exp`\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_tokens_in_a_row_delay_nobody() {
    // The cheapest algorithm: without optimization, only the others would be measured.
    let signer = Signer::secret("0123456789abcdef0123456789abcdef");
    let server = door(AuthSettings {
        jwt_key: Some(signer.key_file()),
        ..AuthSettings::default()
    })
    .await;
    let mut bystander = show(&server, &signer.token("bystander", json!({})))
        .await
        .expect("good");
    let good = signer.token("888", json!({}));
    let bad = format!("{}AA", &good[..good.len() - 2]);
    let (before, started) = (memory(), Instant::now());
    let flood = futures_util::future::join_all((0..CONNECTIONS).map(|_| refused(&server, &bad)));
    let mut worst = Duration::ZERO;
    tokio::pin!(flood);
    loop {
        let asked = Instant::now();
        tokio::select! {
            _ = &mut flood => break,
            reply = bystander.request("enterForeground", json!(null)) => assert_eq!(reply, json!({"ok": true})),
        }
        worst = worst.max(asked.elapsed());
    }
    let grown = memory().saturating_sub(before);
    println!(
        "{} bad tokens in {:?}, a request meanwhile took at most {worst:?}, {grown} bytes more",
        CONNECTIONS * EACH,
        started.elapsed()
    );
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    assert!(grown < 16 << 20, "{grown}");
    let refused = counted(&server.registry, "wsmesh_auth_failures_total", "bad_token");
    assert_eq!(refused, (CONNECTIONS * EACH) as u64);
    assert!(show(&server, &good).await.is_ok());
}
