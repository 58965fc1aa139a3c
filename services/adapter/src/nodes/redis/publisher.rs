//! Publishing: one connection, written once a turn. Every message of a turn goes out in one write, and its answer is taken
//! from the front of those that wait, as Redis answers in order.
//!
//! Nothing is tried again here: when the connection ends, everyone who waits is told, the node's task makes a new one, and
//! the message goes through another node.

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
use super::{Redis, trouble};
use crate::nodes::link::{Channel, LinkError, LinkErrorKind, Publisher, Publishing};

/// Messages that wait for one connection; more are refused and go to another node. Probes are not: they tell whether the
/// node is there.
const MOST_WAITING: usize = 100_000;
/// Bytes that wait to be written; more are refused, too.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// A message waits no longer than so many time limits, although others are answered meanwhile.
const LONGEST: u32 = 5;
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
    /// When the last answer came.
    answered: Option<Instant>,
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
        self.orders.add(channel, &payload, MOST_WAITING, MOST_BYTES)
    }

    fn probe(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.orders.add(channel, &payload, usize::MAX, usize::MAX)
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.serving.abort();
        // Its task may be aborted later than now, if it runs elsewhere.
        self.orders
            .end(&trouble::ended(&self.orders.address, "it was given up"));
    }
}

impl Orders {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Unless so many messages wait, or so many bytes.
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
        self.ordered.notify_one();
        Publishing::Answer(answer)
    }

    fn full(&self, state: &State) -> LinkError {
        let (messages, bytes) = (state.waiting.len(), state.out.len());
        LinkError::new(
            LinkErrorKind::Full,
            format!(
                "{} has {messages} messages waiting, {bytes} bytes unsent, and takes no more for now",
                self.address
            ),
        )
    }

    /// Hands what is to be written to the writer, which gives an empty buffer for it.
    fn take(&self, empty: BytesMut) -> BytesMut {
        std::mem::replace(&mut self.state().out, empty)
    }

    /// The next answer is for whoever has waited longest.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.state();
        state.answered = Some(Instant::now());
        state.waiting.pop_front()
    }

    /// When the connection is to be given up, unless answers come.
    fn due(&self, limit: Duration) -> Option<Instant> {
        let state = self.state();
        let oldest = state.waiting.front()?.since;
        let answered = state.answered.map_or(oldest, |answered| answered.max(oldest));
        Some((answered + limit).min(oldest + limit * LONGEST))
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

/// However serving a connection ends, also by a panic: nobody waits for what nobody will answer.
struct Served(Arc<Orders>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.end(&trouble::ended(&self.0.address, "it was given up"));
    }
}

async fn serve(orders: Arc<Orders>, connection: Connection, limit: Duration) {
    let served = Served(orders);
    let orders = &served.0;
    let (reading, writing) = connection.split();
    // What has arrived is read before anything is judged by time: this process may have been stopped for a while.
    let error = tokio::select! {
        biased;
        error = read_answers(orders, reading) => error,
        error = write_orders(orders, writing) => error,
        error = watch(orders, limit) => error,
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
                Ok(Some(BytesFrame::Error(text))) => Err(trouble::rejected(&orders.address, &text)),
                Ok(Some(other)) => return connection.unexpected(&other),
                Err(error) => return error,
            };
            let Some(one) = orders.next() else {
                return trouble::not_redis(&orders.address, &[], "an answer to nothing");
            };
            let _gone = one.result.send(result);
        }
    }
}

/// A Redis that answers nothing for the whole time limit is not to be trusted with more.
async fn watch(orders: &Orders, limit: Duration) -> LinkError {
    loop {
        let now = Instant::now();
        let due = orders.due(limit).unwrap_or(now + limit);
        if due <= now {
            return trouble::unanswered(&orders.address);
        }
        sleep_until(due).await;
    }
}
