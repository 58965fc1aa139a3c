//! A server that echoes, and a client that sends and receives raw frames.

#[path = "../common/frame.rs"]
mod frame;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use ws_node::{EdgeSettings, WsNode};
use wsmesh_adapter::{Options, ServerName, ServiceName};

pub(crate) use frame::frame;

/// Longest wait of these tests: only something broken takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const TEXT_BEGINS: u8 = 0x01;
pub(crate) const BINARY_BEGINS: u8 = 0x02;
pub(crate) const GOES_ON: u8 = 0x00;
pub(crate) const ENDS: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A server that echoes on a free port.
pub(crate) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    _node: WsNode,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(EdgeSettings::echo()).await
    }

    pub(crate) async fn with(settings: EdgeSettings) -> Self {
        let name = ServerName::new("echo").expect("valid");
        let options = Options::new(name, ServiceName::new("ws-node").expect("valid"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let settings = EdgeSettings {
            shards: 1,
            // On a busy machine some tests last until the first ping, which they do not expect.
            ping_interval: Duration::from_secs(3600),
            ..settings
        };
        let node = WsNode::start(options, settings).expect("starts");
        let stop = CancellationToken::new();
        tokio::spawn(node.serve(listener, stop.clone()));
        timeout(PATIENCE, node.adapter().ready()).await.expect("ready");
        Self {
            address,
            stop,
            _node: node,
        }
    }

    /// An upgraded connection.
    pub(crate) async fn peer(&self) -> Peer {
        let (peer, head) = self.upgraded("").await;
        assert!(!head.contains("xtensions"), "nothing was offered: {head}");
        peer
    }

    /// An upgraded connection with compression.
    pub(crate) async fn compressing_peer(&self) -> Peer {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let (peer, head) = self.upgraded(offer).await;
        let taken =
            "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
        assert!(head.contains(taken), "{head}");
        peer
    }

    /// An upgraded connection whose request has one more header, and the head of the answer.
    pub(crate) async fn upgraded(&self, header: &str) -> (Peer, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        stream.set_nodelay(true).expect("a TCP stream");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
        );
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
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (Peer { stream }, head)
    }

    /// Checks the server's frames after these bytes, written at once and octet by octet, with a normal close at the end.
    pub(crate) async fn answers(&self, bytes: &[u8], expected: &[Frame]) {
        let bytes = [bytes, &frame(CLOSE, &1000u16.to_be_bytes())].concat();
        let expected = [expected, &[(CLOSE, 1000u16.to_be_bytes().to_vec())]].concat();
        for octets in [bytes.len(), 1] {
            let mut peer = self.peer().await;
            let writing = async { peer.write_in(&bytes, octets).await };
            writing.await;
            assert_same(&peer.rest().await, &expected, &bytes);
        }
    }

    /// Checks that these bytes, written at once and octet by octet, end the connection with `code` after these frames.
    pub(crate) async fn refuses(&self, bytes: &[u8], before: &[Frame], code: u16) {
        for octets in [bytes.len(), 1] {
            let mut peer = self.peer().await;
            peer.write_in(bytes, octets).await;
            let mut heard = peer.rest().await;
            let (opcode, payload) = heard.pop().expect("a close frame");
            let start: String = format!("{:02x?}", &bytes[..bytes.len().min(24)]);
            assert_eq!(opcode, CLOSE, "{start}");
            assert_eq!(payload[..2], code.to_be_bytes(), "{start}");
            assert_same(&heard, before, bytes);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The first byte of a frame of the server, and its payload.
pub(crate) type Frame = (u8, Vec<u8>);

fn assert_same(heard: &[Frame], expected: &[Frame], sent: &[u8]) {
    let shape =
        |frames: &[Frame]| -> Vec<(u8, usize)> { frames.iter().map(|(first, all)| (*first, all.len())).collect() };
    let start = &sent[..sent.len().min(24)];
    assert_eq!(shape(heard), shape(expected), "after {start:02x?}");
    assert!(heard == expected, "other bytes after {start:02x?}");
}

/// A client.
pub(crate) struct Peer {
    stream: TcpStream,
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.write_in(bytes, bytes.len()).await;
    }

    /// Writes pieces of this many octets, each in a segment of its own. The server may have closed in between.
    async fn write_in(&mut self, bytes: &[u8], octets: usize) {
        for piece in bytes.chunks(octets.max(1)) {
            if self.stream.write_all(piece).await.is_err() {
                return;
            }
        }
    }

    /// The next frame of the server.
    pub(crate) async fn frame(&mut self) -> Frame {
        timeout(PATIENCE, self.read_frame())
            .await
            .expect("answers")
            .expect("not closed")
    }

    /// Checks that the connection stays open, without frames, for long enough to be read by the server.
    pub(crate) async fn still_open(&mut self) {
        let said = timeout(Duration::from_millis(20), self.stream.read_u8()).await;
        assert!(said.is_err(), "{said:?}");
    }

    /// All frames of the server until it closes.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let reading = async {
            while let Some(frame) = self.read_frame().await {
                frames.push(frame);
            }
        };
        timeout(PATIENCE, reading).await.expect("closes");
        frames
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        let first = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.ok()? {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            short => {
                assert!(short < 126, "a server's frame is not masked");
                u64::from(short)
            }
        };
        let mut payload = vec![0; usize::try_from(length).expect("fits")];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }
}

/// Frames, one after the other.
pub(crate) fn frames(all: &[(u8, &[u8])]) -> Vec<u8> {
    all.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

/// The echoes of these frames.
pub(crate) fn heard(all: &[(u8, &[u8])]) -> Vec<Frame> {
    all.iter().map(|(first, payload)| (*first, payload.to_vec())).collect()
}
