//! Input that a client should not send: each ends in a clear error, and other clients do not notice.

#[path = "../common/mod.rs"]
mod common;

mod frames;
mod requests;

use common::{PATIENCE, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const UPGRADE: &str = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n";

/// An upgraded connection, as bytes.
async fn upgraded(server: &Server, id: &str) -> TcpStream {
    let mut stream = server.raw().await;
    let request = format!("GET /?id={id} HTTP/1.1\nHost: x\n{UPGRADE}\n").replace('\n', "\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            timeout(PATIENCE, stream.read_u8())
                .await
                .expect("answers")
                .expect("reads"),
        );
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}
