//! One client of the check: the plain client protocol over one WebSocket.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::PATIENCE;

/// One client.
pub(crate) struct Player {
    pub(crate) id: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
    /// Pushes (event, payload) that arrived while something else was awaited, oldest first. `matchState` repeats and is not kept.
    pub(crate) pushed: Vec<(String, Value)>,
}

impl Player {
    pub(crate) async fn connect(url: &str, id: &str) -> Result<Self> {
        let connecting = tokio_tungstenite::connect_async(format!("{url}?id={id}"));
        let (socket, _) = timeout(PATIENCE, connecting)
            .await
            .with_context(|| format!("{url}: no answer"))?
            .with_context(|| format!("connecting to {url}"))?;
        Ok(Self {
            id: id.to_owned(),
            socket,
            requests: 0,
            pushed: Vec::new(),
        })
    }

    /// Sends a request and returns the payload of its reply; an error reply is an error.
    pub(crate) async fn request(&mut self, event: &str, payload: Value) -> Result<Value> {
        self.requests += 1;
        let callback = self.requests.to_string();
        let frame = json!({"event": event, "payload": payload, "callbackId": callback});
        self.socket.send(Message::text(frame.to_string())).await?;
        let what = format!("the reply to {event}");
        loop {
            let frame = self.frame(&what).await?;
            if frame["callbackId"] == callback.as_str() {
                let payload = frame["payload"].clone();
                ensure!(
                    payload.get("errorCode").is_none(),
                    "{}: {event} was refused: {payload}",
                    self.id
                );
                return Ok(payload);
            }
            self.keep(frame);
        }
    }

    /// The payload of the next push of this event.
    pub(crate) async fn push(&mut self, event: &str) -> Result<Value> {
        if let Some(index) = self.pushed.iter().position(|(name, _)| name == event) {
            return Ok(self.pushed.remove(index).1);
        }
        let what = format!("a push of {event}");
        loop {
            let mut frame = self.frame(&what).await?;
            if frame["event"] == event {
                return Ok(frame["payload"].take());
            }
            self.keep(frame);
        }
    }

    fn keep(&mut self, mut frame: Value) {
        if let Some(event) = frame["event"]
            .as_str()
            .filter(|event| *event != "matchState")
            .map(str::to_owned)
        {
            self.pushed.push((event, frame["payload"].take()));
        }
    }

    async fn frame(&mut self, what: &str) -> Result<Value> {
        let next = async {
            while let Some(message) = self.socket.next().await {
                match message? {
                    Message::Text(text) if !text.is_empty() => return Ok(serde_json::from_str(&text)?),
                    Message::Close(close) => bail!("the server closed the connection: {close:?}"),
                    _ => {}
                }
            }
            bail!("the connection ended")
        };
        let waited = timeout(PATIENCE, next).await.context("nothing came").flatten();
        waited.with_context(|| format!("{} waits for {what}", self.id))
    }

    pub(crate) async fn leave(mut self) {
        // The check has succeeded; an error of the close changes nothing.
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}
