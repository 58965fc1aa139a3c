//! Publishing: one connection, written once a turn. Every message of a turn goes out in one write, and its answer is taken
//! from the front of those that wait, as Redis answers in order.
//!
//! Nothing is tried again here: when the connection ends, everyone who waits is told, the node's task makes a new one, and
//! the message goes through another node.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::encode::extend_encode_borrowed;
use redis_protocol::resp2::types::{BorrowedFrame, BytesFrame};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

use super::connection::{Connection, Whole};
use super::{Redis, trouble};
use crate::nodes::link::{Channel, LinkError, LinkErrorKind, Publisher, Publishing};

/// Messages that wait for one connection; more are refused and go to another node.
const MOST_WAITING: usize = 100_000;
/// Bytes that wait to be written; more are refused, too.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// A write buffer that grew beyond this is given back after the write.
const KEPT_BUFFER: usize = 1024 * 1024;

pub(super) struct RedisPublisher {
    orders: Arc<Orders>,
    serving: JoinHandle<()>,
}

/// What is to be written, and who waits for an answer.
struct Orders {
    state: Mutex<State>,
    /// Wakes the writer.
    ordered: Notify,
    address: String,
}

#[derive(Default)]
struct State {
    /// Commands that were not handed to the writer yet.
    out: BytesMut,
    /// One for each command that has no answer yet, in order.
    waiting: VecDeque<Waiting>,
    /// The connection has ended, and why.
    ended: Option<LinkError>,
}

/// Who waits for the fate of a message, and since when.
struct Waiting {
    result: oneshot::Sender<Result<u64, LinkError>>,
    since: Instant,
}

impl RedisPublisher {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let connection = Connection::connect(redis).await?;
        let orders = Arc::new(Orders {
            state: Mutex::default(),
            ordered: Notify::new(),
            address: redis.url.address(),
        });
        let serving = tokio::spawn(serve(orders.clone(), connection, redis.limit));
        Ok(Self { orders, serving })
    }
}

impl Publisher for RedisPublisher {
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing {
        match self.orders.add(channel, &payload) {
            Ok(answer) => Publishing::Answer(answer),
            Err(error) => Publishing::Done(ready(Err(error))),
        }
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.serving.abort();
        self.orders
            .end(&trouble::ended(&self.orders.address, "it was given up"));
    }
}

impl Orders {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, channel: &str, payload: &[u8]) -> Result<oneshot::Receiver<Result<u64, LinkError>>, LinkError> {
        let words = [b"PUBLISH", channel.as_bytes(), payload].map(BorrowedFrame::BulkString);
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        if state.waiting.len() >= MOST_WAITING || state.out.len() >= MOST_BYTES {
            return Err(self.full(&state));
        }
        extend_encode_borrowed(&mut state.out, &BorrowedFrame::Array(&words), false)
            .map_err(|error| trouble::no_redis(&self.address, &[], &error.to_string()))?;
        let (result, answer) = oneshot::channel();
        let since = Instant::now();
        state.waiting.push_back(Waiting { result, since });
        drop(state);
        self.ordered.notify_one();
        Ok(answer)
    }

    fn full(&self, state: &State) -> LinkError {
        let (messages, bytes) = (state.waiting.len(), state.out.len());
        LinkError::new(
            LinkErrorKind::TimedOut,
            format!(
                "{} has {messages} messages waiting ({bytes} bytes of them unsent) and takes no more",
                self.address
            ),
        )
    }

    /// Hands what is to be written to the writer, which gives an empty buffer for it.
    fn take(&self, empty: BytesMut) -> BytesMut {
        std::mem::replace(&mut self.state().out, empty)
    }

    /// Since when the oldest message waits.
    fn oldest(&self) -> Option<Instant> {
        self.state().waiting.front().map(|waiting| waiting.since)
    }

    /// Everyone who waits is told that the connection has ended, and everyone who comes later.
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

async fn serve(orders: Arc<Orders>, connection: Connection, limit: Duration) {
    let (reading, writing) = connection.split();
    let error = tokio::select! {
        error = read_answers(&orders, reading) => error,
        error = write_orders(&orders, writing) => error,
        error = watch(&orders, limit) => error,
    };
    orders.end(&error);
}

async fn write_orders(orders: &Orders, mut stream: WriteHalf<Whole>) -> LinkError {
    let mut out = BytesMut::new();
    loop {
        orders.ordered.notified().await;
        // Whoever publishes in this turn, too, goes along.
        yield_now().await;
        out = orders.take(out);
        let write = async {
            stream.write_all(&out).await?;
            // TLS keeps what it could not send until it is told to.
            stream.flush().await
        };
        if let Err(error) = write.await {
            return trouble::ended(&orders.address, &error.to_string());
        }
        out.clear();
        if out.capacity() > KEPT_BUFFER {
            out = BytesMut::new();
        }
    }
}

async fn read_answers(orders: &Orders, mut connection: Connection<ReadHalf<Whole>>) -> LinkError {
    loop {
        if let Err(error) = connection.fill().await {
            return error;
        }
        loop {
            let result = match connection.decode() {
                Ok(None) => break,
                Ok(Some(BytesFrame::Integer(count))) => Ok(u64::try_from(count).unwrap_or(0)),
                Ok(Some(BytesFrame::Error(text))) => Err(trouble::refused(&orders.address, &text)),
                Ok(Some(other)) => return connection.unexpected(&other),
                Err(error) => return error,
            };
            let Some(one) = orders.state().waiting.pop_front() else {
                return trouble::no_redis(&orders.address, &[], "an answer to nothing");
            };
            let _gone = one.result.send(result);
        }
    }
}

/// A Redis that leaves a message unanswered for the whole time limit is not to be trusted with others.
async fn watch(orders: &Orders, limit: Duration) -> LinkError {
    loop {
        let now = Instant::now();
        let due = orders.oldest().unwrap_or(now) + limit;
        if due <= now {
            return trouble::unanswered(&orders.address);
        }
        sleep_until(due).await;
    }
}
