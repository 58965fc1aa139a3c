//! Malicious clients: each meets a limit, and the others are served meanwhile.

mod common;

use std::time::{Duration, Instant};

use common::frame::frame;
use common::{PATIENCE, Server, demo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use ws_node::{EdgeSettings, Limits};

const UPGRADE: &str = "GET /?id=evil HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// An upgraded connection that reads only the answer to its request.
async fn upgraded(server: &Server) -> TcpStream {
    let mut stream = server.raw().await;
    stream
        .write_all(format!("{UPGRADE}\r\n").as_bytes())
        .await
        .expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(
            timeout(PATIENCE, stream.read_u8())
                .await
                .expect("answers")
                .expect("upgrades"),
        );
    }
    stream
}

/// Writes until the server takes no more; returns how many bytes it took.
async fn flood(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let start = Instant::now();
    let mut written = 0;
    while start.elapsed() < PATIENCE {
        match timeout(Duration::from_secs(2), stream.write(bytes)).await {
            Ok(Ok(length @ 1..)) => written += length,
            // Closed, or not read any more.
            _ => break,
        }
    }
    written
}

async fn still_served(server: &Server) {
    let start = Instant::now();
    let mut other = server.client("other").await;
    assert_eq!(other.request("echo", Value::Null).await, json!({"ok": true}));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_comes_byte_by_byte_is_given_up() {
    let settings = EdgeSettings {
        handshake_timeout: Duration::from_millis(500),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let (mut reading, mut writing) = server.raw().await.into_split();
    let start = Instant::now();
    let dripping = async {
        for byte in UPGRADE.bytes() {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => panic!("it could drip to its end"),
        closed = timeout(PATIENCE, reading.read_to_end(&mut answer)) => drop(closed.expect("is closed")),
    }
    let given_up = Duration::from_millis(400)..Duration::from_millis(2_000);
    assert!(given_up.contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(String::from_utf8_lossy(&answer), "");
    // The missing part comes too late.
    let _refused = writing.write_all(format!("{UPGRADE}\r\n").as_bytes()).await;
    let after = timeout(PATIENCE, reading.read_to_end(&mut answer))
        .await
        .expect("stays closed");
    assert!(
        after.is_err() || answer.is_empty(),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    still_served(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_head_that_is_too_large_is_rejected() {
    let server = Server::alone(demo()).await;
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(20_000));
    for more in [many, long] {
        let mut stream = server.raw().await;
        // It may be rejected before all of it is written.
        let _refused = stream.write_all(format!("{UPGRADE}{more}\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("is closed");
        assert!(
            !answer.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    still_served(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_empty_frames_ends_the_connection() {
    let settings = EdgeSettings {
        limits: Limits {
            events_per_second: Some(50),
            events_burst: 50,
            ..demo().limits
        },
        ..demo()
    };
    let server = Server::alone(settings).await;
    let (ping, pong) = (frame(0x89, b"x").repeat(150), frame(0x8a, b"").repeat(150));
    let fragments = [frame(0x01, b"x"), frame(0x00, b"").repeat(150)].concat();
    for flood in [ping, pong, fragments] {
        let mut stream = upgraded(&server).await;
        stream.write_all(&flood).await.expect("written");
        let mut said = Vec::new();
        let _reset = timeout(PATIENCE, stream.read_to_end(&mut said))
            .await
            .expect("is closed");
        let close = said.windows(4).find(|bytes| bytes[0] == 0x88).expect("a close frame");
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), 4015, "{:02x}", flood[0]);
    }
    still_served(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_and_never_reads_takes_no_memory_and_is_closed() {
    let settings = EdgeSettings {
        write_timeout: Duration::from_millis(500),
        close_timeout: Duration::from_millis(500),
        ..demo()
    };
    let server = Server::alone(settings).await;
    let ask = frame(
        0x81,
        br#"{"event":"echo","payload":null,"callbackId":"0123456789012345678901234567890123456789"}"#,
    );
    for attack in [frame(0x89, &[b'x'; 125]), frame(0x81, b""), ask] {
        let mut stream = upgraded(&server).await;
        flood(&mut stream, &attack.repeat(100)).await;
        still_served(&server).await;
        let gone = || server.node.stats()()["connections"].as_u64() <= Some(1);
        common::until("it is closed", gone).await;
    }
}
