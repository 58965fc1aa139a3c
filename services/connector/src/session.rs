//! One connection: the token if it travels in the first message, then reading, writing and the heartbeat side by side until one
//! of them ends, then the close. Reading never waits for writing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use wsmesh_protocol::CloseCode;
use wsmesh_protocol::frame::{self, ServerMessage};

use crate::refusal::Refusal;
use crate::shared::{First, Rejoin, Shared};
use crate::socket::Socket;
use crate::traces::DISCONNECTED;
use crate::{ConnectionError, Lifecycle, inbound};

/// Time limit for a close; after it the connection is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// RFC 6455: the close frame had no code.
const NO_STATUS: u16 = 1005;

/// One open connection.
pub(crate) struct Session<'a> {
    shared: &'a Arc<Shared>,
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    frames: mpsc::Sender<String>,
    queue: mpsc::Receiver<String>,
    first: First,
    pong: Notify,
}

impl<'a> Session<'a> {
    /// Takes an open socket. Handles cannot use it yet.
    pub(crate) fn new(shared: &'a Arc<Shared>, socket: Socket) -> Self {
        let (sink, stream) = socket.split();
        let (frames, queue) = mpsc::channel(shared.options.send_queue);
        Self {
            shared,
            sink,
            stream,
            frames,
            queue,
            first: First::default(),
            pong: Notify::new(),
        }
    }

    /// Sends a token in the first message, and waits until the server agrees.
    pub(crate) async fn authenticate(&mut self, token: &str) -> Result<(), ConnectionError> {
        let id = self.shared.new_id().to_string();
        let request = frame::client_request("authenticate", &json!({"token": token}), &id);
        let trace = self.shared.trace("authenticate", DISCONNECTED);
        let sent = self.sink.send(Message::text(trace.on(request))).await;
        sent.map_err(ConnectionError::transport)?;
        loop {
            match next(&mut self.stream).await? {
                Message::Text(text) => match reply_to(&id, &text) {
                    None => inbound::receive(self.shared, text, &self.frames),
                    Some(Ok(())) => {
                        trace.end(None);
                        return Ok(());
                    }
                    Some(Err(refused)) => {
                        trace.end(refused.refusal());
                        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.sink.send(by_hand())).await;
                        return Err(refused);
                    }
                },
                other => unused(&other),
            }
        }
    }

    /// Lets handles send through it.
    pub(crate) fn stands(&mut self) {
        self.first = self.shared.opened(&self.frames);
    }

    /// Works until the connection ends, and returns why.
    pub(crate) async fn until_over(&mut self) -> ConnectionError {
        let rejoins = std::mem::take(&mut self.first.rejoins);
        tokio::select! {
            error = read(self.shared, &mut self.stream, &self.frames, &self.pong) => error,
            error = write(&mut self.sink, &mut self.first.frames, &mut self.queue) => error,
            error = beat(self.shared, &self.frames, &self.pong) => error,
            error = rejoin(self.shared, rejoins) => error,
        }
    }

    /// Closes because the application wants it: accepted frames are written first.
    pub(crate) async fn close_by_hand(mut self) {
        let closing = async {
            for frame in self.first.frames.drain(..) {
                self.sink.feed(Message::text(frame)).await?;
            }
            while let Ok(frame) = self.queue.try_recv() {
                self.sink.feed(Message::text(frame)).await?;
            }
            self.sink.send(by_hand()).await
        };
        let sent = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
        if matches!(sent, Ok(Ok(()))) {
            drain(&mut self.stream).await;
        }
    }

    /// Closes after an end: tells the server why if it may still listen, or answers its close.
    pub(crate) async fn close_after(mut self, error: &ConnectionError) {
        let code = match error {
            ConnectionError::PongTimeout => (CloseCode::PongTimeout, "pong timeout"),
            ConnectionError::Transport(error) if matches!(**error, Error::Capacity(_)) => {
                (CloseCode::TooBig, "message too big")
            }
            ConnectionError::Closed { .. } => return drain(&mut self.stream).await,
            _ => return,
        };
        // Best effort: the server may not read it, so there is no wait for an answer.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.sink.send(close_frame(code.0, code.1))).await;
    }
}

/// The server's reply to the request of this id; `None` if the text is something else.
fn reply_to(id: &str, text: &Utf8Bytes) -> Option<Result<(), ConnectionError>> {
    let Ok(ServerMessage::Reply { payload, callback_id }) = frame::parse_server(text) else {
        return None;
    };
    (callback_id == id).then(|| match Refusal::read(payload.get()) {
        None => Ok(()),
        Some(Refusal { error, error_code }) => Err(ConnectionError::Unauthenticated {
            code: error_code,
            text: error,
        }),
    })
}

fn by_hand() -> Message {
    close_frame(CloseCode::ManualClose, "client manual close")
}

fn close_frame(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code: u16::from(code).into(),
        reason: Utf8Bytes::from_static(reason),
    }))
}

/// Finishes the close handshake: reading answers the close and ends with the connection.
async fn drain(stream: &mut SplitStream<Socket>) {
    let end = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, end).await;
}

async fn read(
    shared: &Shared,
    stream: &mut SplitStream<Socket>,
    frames: &mpsc::Sender<String>,
    pong: &Notify,
) -> ConnectionError {
    loop {
        match next(stream).await {
            Ok(Message::Text(text)) if text.as_str() == shared.options.ping_message => pong.notify_one(),
            Ok(Message::Text(text)) => inbound::receive(shared, text, frames),
            Ok(other) => unused(&other),
            Err(error) => return error,
        }
    }
}

/// The next message, or how the connection ended.
async fn next(stream: &mut SplitStream<Socket>) -> Result<Message, ConnectionError> {
    match stream.next().await {
        Some(Ok(Message::Close(frame))) => {
            let (code, reason) = frame.map_or((NO_STATUS, String::new()), |frame| {
                (frame.code.into(), frame.reason.as_str().to_owned())
            });
            let code = CloseCode::from(code);
            Err(ConnectionError::Closed { code, reason })
        }
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(ConnectionError::transport(error)),
        None => Err(ConnectionError::transport(Error::ConnectionClosed)),
    }
}

/// A message that is not text. The WebSocket answers pings itself.
fn unused(message: &Message) {
    if message.is_binary() {
        tracing::debug!("the server sent a binary frame; only text is understood");
    }
}

/// Writes the first frames, then the queue, all waiting frames in one go.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    first: &mut VecDeque<String>,
    queue: &mut mpsc::Receiver<String>,
) -> ConnectionError {
    loop {
        if first.is_empty() {
            match queue.recv().await {
                Some(frame) => first.push_back(frame),
                None => return ConnectionError::transport(Error::AlreadyClosed),
            }
        }
        let written = async {
            // A frame is taken only when the sink is ready, so that a close during the wait still writes it.
            loop {
                poll_fn(|cx| sink.poll_ready_unpin(cx)).await?;
                let Some(frame) = first.pop_front().or_else(|| queue.try_recv().ok()) else {
                    break;
                };
                sink.start_send_unpin(Message::text(frame))?;
            }
            sink.flush().await
        };
        if let Err(error) = written.await {
            return ConnectionError::transport(error);
        }
    }
}

/// Joins the client's rooms again.
async fn rejoin(shared: &Arc<Shared>, rejoins: Vec<Rejoin>) -> ConnectionError {
    join_all(rejoins.into_iter().map(|rejoin| rejoin.until_settled(shared))).await;
    std::future::pending().await
}

/// Sends heartbeats and waits for each one's answer.
async fn beat(shared: &Shared, frames: &mpsc::Sender<String>, pong: &Notify) -> ConnectionError {
    let mut changes = shared.ping_interval.subscribe();
    let mut wait = changes.borrow_and_update().mul_f64(rand::random());
    loop {
        let stopped = changes.borrow().is_zero();
        let sleep = async {
            if stopped {
                return std::future::pending().await;
            }
            tokio::time::sleep(wait).await;
        };
        tokio::select! {
            () = sleep => {}
            Ok(()) = changes.changed() => {
                wait = *changes.borrow_and_update();
                continue;
            }
        }
        // An answer without a heartbeat before it does not count.
        let _ = pong.notified().now_or_never();
        let sent = Instant::now();
        let answered = async {
            let _ = frames.send(shared.options.ping_message.clone()).await;
            shared.listeners().lifecycle(&Lifecycle::Ping);
            pong.notified().await;
        };
        if tokio::time::timeout(shared.options.pong_timeout, answered)
            .await
            .is_err()
        {
            return ConnectionError::PongTimeout;
        }
        let latency = sent.elapsed();
        shared.listeners().lifecycle(&Lifecycle::Pong { latency });
        // The interval may have changed while the answer was awaited.
        wait = changes.borrow_and_update().saturating_sub(latency);
    }
}
