//! A WebSocket server that does what a test says, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use wsmesh_connector::{Client, Connector, Options};

use wsmesh_test_support::SOON;
pub(crate) use wsmesh_test_support::soon;

pub(crate) struct Server {
    listener: TcpListener,
}

/// The server's side of one connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { listener }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/chat", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Options for this server: no heartbeat, and short waits between attempts.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(self.url());
        options.ping_interval = Duration::ZERO;
        options.fast_reconnect_interval = Duration::from_millis(50);
        options.fast_reconnect_threshold = u32::MAX;
        options.request_timeout = SOON;
        options
    }

    /// The next connection, before it is a WebSocket.
    pub(crate) async fn tcp(&self) -> TcpStream {
        soon("a connection", self.listener.accept()).await.expect("accepted").0
    }

    pub(crate) async fn accept(&self) -> Peer {
        let mut seen = (String::new(), None);
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let authorization = request.headers().get("authorization");
            let authorization = authorization.map(|value| value.to_str().expect("text").to_owned());
            seen = (request.uri().to_string(), authorization);
            Ok(response)
        };
        let upgrade = tokio_tungstenite::accept_hdr_async(self.tcp().await, look);
        let socket = soon("the upgrade", upgrade).await.expect("a WebSocket client");
        let (path, authorization) = seen;
        Peer {
            socket,
            path,
            authorization,
        }
    }

    /// Refuses the next connection with this status line, headers and body.
    pub(crate) async fn refuse(&self, status: &str, headers: &str, body: &str) {
        let mut tcp = self.tcp().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(soon("the request", tcp.read_u8()).await.expect("a request"));
        }
        let length = body.len();
        let response = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        tcp.write_all(response.as_bytes()).await.expect("written");
        tcp.shutdown().await.expect("closed");
    }
}

impl Peer {
    /// The next text frame.
    pub(crate) async fn read(&mut self) -> String {
        match soon("a frame", self.socket.next()).await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text frame, without a time limit: for a paused clock that advances when nothing else runs.
    pub(crate) async fn read_patiently(&mut self) -> String {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next text frame as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.read().await).expect("JSON")
    }

    pub(crate) async fn say(&mut self, text: impl ToString) {
        self.send(Message::text(text.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        soon("sending", self.socket.send(message)).await.expect("sent");
    }

    /// Reads a request and replies with this payload.
    pub(crate) async fn reply(&mut self, payload: Value) {
        let asked = self.json().await;
        let reply = serde_json::json!({"payload": payload, "callbackId": asked["callbackId"]});
        self.say(reply).await;
    }

    /// Closes, and waits for the client's close frame.
    pub(crate) async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        soon("closing", self.socket.close(Some(frame))).await.expect("sent");
        self.end().await;
    }

    /// Reads until the connection is over.
    pub(crate) async fn end(&mut self) {
        while let Some(Ok(_)) = soon("the end", self.socket.next()).await {}
    }

    /// The code and reason with which the client closes.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        match soon("a close", self.socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.as_str().to_owned()),
            other => panic!("no close: {other:?}"),
        }
    }
}

/// A client whose task runs.
pub(crate) fn start(options: Options) -> (Client, JoinHandle<()>) {
    let (client, task) = Connector::new(options).expect("options that work");
    (client, tokio::spawn(task.run()))
}

/// A client and the server's side of its connection, open.
pub(crate) async fn connected(server: &Server, options: Options) -> (Client, Peer, JoinHandle<()>) {
    let (client, task) = start(options);
    let peer = server.accept().await;
    soon("open", client.opened()).await.expect("open");
    (client, peer, task)
}
