//! The publishing connection. All messages of a turn are sent in one write. Redis answers in order, so an answer
//! belongs to the message that has waited longest.
//!
//! Nothing is retried here: when the connection ends, all waiting messages fail and go through another node, and the
//! node's task opens a new connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use redis_protocol::resp2::encode::extend_encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, BytesFrame};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Whole};
use super::{Redis, limits, trouble};
use crate::nodes::link::{Channel, LinkError, LinkErrorKind, Publisher, Publishing};
use crate::wire::RunId;

/// The most messages that wait for one connection; more are rejected and go to another node. Probes are not: they show
/// whether the node is reachable.
const MOST_WAITING: usize = 100_000;
/// The most bytes that wait to be written; more are rejected, too.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// A message waits at most this many time limits, even while others are being answered.
const LONGEST: u32 = 5;
/// A write buffer that grew beyond this is freed after the write.
const KEPT_BUFFER: usize = 1024 * 1024;

pub(super) struct RedisPublisher {
    outgoing: Arc<Outgoing>,
    serving: JoinHandle<()>,
    run: Option<RunId>,
}

/// The messages to write, and those that wait for an answer.
struct Outgoing {
    state: Mutex<State>,
    /// Wakes the writer.
    added: Notify,
    address: String,
}

#[derive(Default)]
struct State {
    /// Commands that the writer has not taken yet.
    out: BytesMut,
    /// One entry for each command without an answer, in order.
    waiting: VecDeque<Waiting>,
    /// When the last answer came.
    answered: Option<Instant>,
    /// Why the connection has ended, if it has.
    ended: Option<LinkError>,
}

/// A message that waits for its answer, and since when.
struct Waiting {
    result: oneshot::Sender<Result<u64, LinkError>>,
    since: Instant,
}

impl RedisPublisher {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let mut connection = Connection::connect(redis).await?;
        let run = limits::of_publisher(&mut connection).await?;
        let outgoing = Arc::new(Outgoing {
            state: Mutex::default(),
            added: Notify::new(),
            address: redis.url.address(),
        });
        let serving = tokio::spawn(serve(outgoing.clone(), connection, redis.limit));
        Ok(Self { outgoing, serving, run })
    }
}

impl Publisher for RedisPublisher {
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.outgoing.add(channel, &payload, MOST_WAITING, MOST_BYTES)
    }

    fn probe(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.outgoing.add(channel, &payload, usize::MAX, usize::MAX)
    }

    fn run(&self) -> Option<RunId> {
        self.run.clone()
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.serving.abort();
        // The task may end later if it runs on another thread, so nothing must wait for it.
        self.outgoing
            .end(&trouble::ended(&self.outgoing.address, "it was closed by this server"));
    }
}

impl Outgoing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues a message, unless this many messages or bytes wait already.
    fn add(&self, channel: &str, payload: &[u8], messages: usize, bytes: usize) -> Publishing {
        let words = [b"PUBLISH", channel.as_bytes(), payload].map(BorrowedFrame::BulkString);
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Publishing::failed(error.clone());
        }
        if state.waiting.len() >= messages || state.out.len() >= bytes {
            return Publishing::failed(self.full(&state));
        }
        if let Err(error) = extend_encode_borrowed(&mut state.out, &BorrowedFrame::Array(&words), false) {
            return Publishing::failed(trouble::not_redis(&self.address, &[], &error.to_string()));
        }
        let (result, answer) = oneshot::channel();
        let since = Instant::now();
        state.waiting.push_back(Waiting { result, since });
        drop(state);
        self.added.notify_one();
        Publishing::Answer(answer)
    }

    fn full(&self, state: &State) -> LinkError {
        let (messages, bytes) = (state.waiting.len(), state.out.len());
        LinkError::new(
            LinkErrorKind::Full,
            format!(
                "{} has {messages} messages waiting and {bytes} bytes unsent, and accepts no more for now",
                self.address
            ),
        )
    }

    /// Takes the bytes to write, and leaves an empty buffer.
    fn take(&self, empty: BytesMut) -> BytesMut {
        std::mem::replace(&mut self.state().out, empty)
    }

    /// Takes the message that the next answer belongs to: the one that has waited longest.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.state();
        state.answered = Some(Instant::now());
        state.waiting.pop_front()
    }

    /// When the connection must be given up unless an answer arrives.
    fn due(&self, limit: Duration) -> Option<Instant> {
        let state = self.state();
        let oldest = state.waiting.front()?.since;
        let answered = state.answered.map_or(oldest, |answered| answered.max(oldest));
        Some((answered + limit).min(oldest + limit * LONGEST))
    }

    /// Fails all waiting messages, and all later ones, with the reason why the connection ended.
    fn end(&self, error: &LinkError) {
        let waiting = {
            let mut state = self.state();
            state.ended.get_or_insert_with(|| error.clone());
            state.out = BytesMut::new();
            std::mem::take(&mut state.waiting)
        };
        for one in waiting {
            let _gone = one.result.send(Err(error.clone()));
        }
    }
}

/// Fails all waiting messages when dropped, so that none waits forever, even after a panic.
struct Served(Arc<Outgoing>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0
            .end(&trouble::ended(&self.0.address, "it was closed by this server"));
    }
}

async fn serve(outgoing: Arc<Outgoing>, connection: Connection, limit: Duration) {
    let served = Served(outgoing);
    let outgoing = &served.0;
    let (reading, writing) = connection.split();
    // Answers are read before time limits are checked, because this process may have been stopped for a while.
    let error = tokio::select! {
        biased;
        error = read_answers(outgoing, reading) => error,
        error = write_outgoing(outgoing, writing) => error,
        error = watch(outgoing, limit) => error,
    };
    outgoing.end(&error);
}

async fn write_outgoing(outgoing: &Outgoing, mut stream: WriteHalf<Whole>) -> LinkError {
    let mut out = BytesMut::new();
    loop {
        outgoing.added.notified().await;
        // Messages that are published in the same turn join this write.
        yield_now().await;
        out = outgoing.take(out);
        let write = async {
            stream.write_all(&out).await?;
            // TLS may buffer data until it is flushed.
            stream.flush().await
        };
        if let Err(error) = write.await {
            return trouble::ended(&outgoing.address, &error.to_string());
        }
        out.clear();
        if out.capacity() > KEPT_BUFFER {
            out = BytesMut::new();
        }
    }
}

async fn read_answers(outgoing: &Outgoing, mut connection: Connection<ReadHalf<Whole>>) -> LinkError {
    loop {
        if let Err(error) = connection.fill().await {
            return error;
        }
        loop {
            let result = match connection.decode() {
                Ok(None) => break,
                Ok(Some(BytesFrame::Integer(count))) => Ok(u64::try_from(count).unwrap_or(0)),
                Ok(Some(BytesFrame::Error(text))) => Err(trouble::rejected(&outgoing.address, &text)),
                Ok(Some(other)) => return connection.unexpected(&other),
                Err(error) => return error,
            };
            let Some(one) = outgoing.next() else {
                return trouble::not_redis(&outgoing.address, &[], "an answer without a command");
            };
            let _gone = one.result.send(result);
        }
    }
}

/// Ends when Redis has answered nothing for the whole time limit.
async fn watch(outgoing: &Outgoing, limit: Duration) -> LinkError {
    loop {
        let now = Instant::now();
        let due = outgoing.due(limit).unwrap_or(now + limit);
        if due <= now {
            return trouble::unanswered(&outgoing.address);
        }
        sleep_until(due).await;
    }
}
