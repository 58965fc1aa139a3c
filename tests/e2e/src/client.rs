//! A plain client: the bare protocol over one WebSocket, without any SDK.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{NEVER, soon};

/// One client.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u32,
    pushed: VecDeque<Value>,
}

/// How the server closed a connection: code and reason; `None` if it ended without a close frame.
pub type Closed = Option<(u16, String)>;

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(url: &str) -> Self {
        Self::try_connect(url)
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// Connects, or returns why the server refused: the HTTP status and text.
    ///
    /// # Errors
    /// When the server refuses the upgrade.
    pub async fn try_connect(url: &str) -> Result<Self, String> {
        Self::connect_with(url, &[]).await
    }

    /// As [`Client::try_connect`], with headers.
    ///
    /// # Errors
    /// When the server refuses the upgrade.
    pub async fn connect_with(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, String> {
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        for (name, value) in headers {
            let value = value.parse().map_err(|_| format!("{value:?} cannot be a header"))?;
            request.headers_mut().append(*name, value);
        }
        match soon("the connection", connect_async(request)).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                requests: 0,
                pushed: VecDeque::new(),
            }),
            Err(Error::Http(response)) => {
                let text = response
                    .body()
                    .as_deref()
                    .map(String::from_utf8_lossy)
                    .unwrap_or_default();
                Err(format!("{} {text}", response.status().as_u16()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a text frame as it is.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send(&mut self, text: impl Into<String>) {
        self.send_message(Message::text(text.into())).await;
    }

    /// Sends any message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send_message(&mut self, message: Message) {
        soon("the frame is sent", self.socket.send(message))
            .await
            .expect("the connection stands");
    }

    /// Sends an event.
    pub async fn event(&mut self, event: &str, payload: Value) {
        self.send(json!({"event": event, "payload": payload}).to_string()).await;
    }

    /// Sends a request and returns the payload of its reply. Pushes that arrive meanwhile are kept.
    pub async fn request(&mut self, event: &str, payload: Value) -> Value {
        self.ask(json!({"event": event, "payload": payload})).await
    }

    /// As [`Client::request`], as a part of the client's own trace.
    pub async fn traced_request(&mut self, event: &str, payload: Value, traceparent: &str) -> Value {
        self.ask(json!({"event": event, "payload": payload, "traceparent": traceparent}))
            .await
    }

    async fn ask(&mut self, mut request: Value) -> Value {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        let event = request["event"].to_string();
        request["callbackId"] = id.clone().into();
        self.send(request.to_string()).await;
        loop {
            let frame = self.frame(&format!("the reply to {event}")).await;
            if frame["callbackId"] == id {
                return frame["payload"].clone();
            }
            self.pushed.push_back(frame);
        }
    }

    /// The payload of the next push of this event. Other pushes before it are dropped.
    pub async fn push(&mut self, event: &str) -> Value {
        loop {
            let frame = match self.pushed.pop_front() {
                Some(frame) => frame,
                None => self.frame(&format!("a push of {event}")).await,
            };
            if frame["event"] == event {
                return frame["payload"].clone();
            }
        }
    }

    /// The next frame that is not empty.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn frame(&mut self, what: &str) -> Value {
        loop {
            match soon(what, self.socket.next()).await {
                Some(Ok(Message::Text(text))) if !text.is_empty() => {
                    return serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                }
                Some(Ok(Message::Close(close))) => panic!("closed while waiting for {what}: {close:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error} while waiting for {what}"),
                None => panic!("the connection ended while waiting for {what}"),
            }
        }
    }

    /// Nothing is pushed for a while.
    ///
    /// # Panics
    /// When something is pushed.
    pub async fn nothing(&mut self) {
        assert!(self.pushed.is_empty(), "unexpected: {:?}", self.pushed);
        if let Ok(frame) = tokio::time::timeout(NEVER, self.frame("nothing")).await {
            panic!("unexpected: {frame}");
        }
    }

    /// Reads until the server ends the connection, and drops other frames.
    pub async fn closed(&mut self) -> Closed {
        loop {
            match soon("the connection ends", self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => {
                    return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Whether requests are still answered.
    pub async fn is_served(&mut self) -> bool {
        self.request("echo", json!({})).await == json!({"ok": true})
    }

    /// Closes with a close handshake.
    pub async fn close(mut self) {
        let _ = soon("the close handshake", self.socket.close(None)).await;
    }
}
