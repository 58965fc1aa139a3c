//! Publishing through fred. Its traps are closed: every command has a time limit, its buffers are bounded, it never tries
//! again by itself (the node's task makes a new connection, and the message goes to another node).
//!
//! One task per connection takes what waits and sends it as one pipeline: under load many messages share what a command
//! costs in fred, in system calls and in waking threads; a single message goes out at once.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::{Client, Pipeline};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::config::{Config, ServerConfig, TlsConfig, TlsConnector, UnresponsiveConfig};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand, RespVersion, Value};
use futures_util::poll;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Redis, trouble};
use crate::nodes::link::{Boxed, Channel, LinkError, LinkErrorKind, Publisher};

/// Messages that wait for one connection; more are refused and go to another node.
const BUFFER: usize = 100_000;
/// Most messages that go out together.
const BATCH: usize = 128;
/// Batches whose answers may be under way at once: enough for a Redis that is far away.
const UNDER_WAY: usize = 16;

pub(super) struct FredPublisher {
    orders: mpsc::Sender<Order>,
    address: String,
    sending: JoinHandle<()>,
}

/// One message that is to go out.
struct Order {
    channel: Channel,
    payload: Bytes,
    result: Waiting,
}

impl FredPublisher {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let url = &redis.url;
        let config = Config {
            server: ServerConfig::new_centralized(url.host(), url.port()),
            username: url.username().map(str::to_owned),
            password: url.password().map(str::to_owned),
            version: RespVersion::RESP2,
            fail_fast: true,
            tls: redis
                .tls
                .clone()
                .map(|tls| TlsConfig::from(TlsConnector::Rustls(tokio_rustls::TlsConnector::from(tls)))),
            ..Config::default()
        };
        let limit = redis.limit;
        let client = Builder::from_config(config)
            .with_connection_config(|connection| {
                connection.connection_timeout = limit;
                connection.internal_command_timeout = limit;
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = BUFFER;
                connection.tcp.nodelay = Some(true);
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(limit),
                    interval: Duration::from_millis(500),
                };
            })
            .with_performance_config(|performance| performance.default_command_timeout = limit)
            .build()
            .map_err(|error| explain(redis, &error))?;
        let connection = AbortOnDrop(client.init().await.map_err(|error| explain(redis, &error))?);
        // Only for people who look at CLIENT LIST: an ACL may forbid it, and that is fine.
        let command = CustomCommand::new_static("CLIENT", ClusterHash::Random, false);
        let arguments = vec!["SETNAME", redis.name.as_str()];
        let _ = client.custom::<Value, _>(command, arguments).await;
        let (orders, taken) = mpsc::channel(BUFFER);
        let address = url.address();
        Ok(Self {
            orders,
            address: address.clone(),
            sending: tokio::spawn(send_all(client, connection, taken, address)),
        })
    }
}

/// What fred's texts call the end of a connection: the system's names.
const ENDED: [&str; 4] = ["UnexpectedEof", "ConnectionReset", "ConnectionAborted", "BrokenPipe"];

/// Why connecting failed.
fn explain(redis: &Redis, error: &Error) -> LinkError {
    let (address, details) = (redis.url.address(), error.details());
    match error.kind() {
        ErrorKind::Timeout => trouble::unreachable(&address, redis.url.tls()),
        ErrorKind::Canceled => trouble::ended_at_once(&address),
        ErrorKind::IO if ENDED.iter().any(|kind| details.contains(kind)) => trouble::ended_at_once(&address),
        ErrorKind::IO | ErrorKind::Tls => trouble::connect(&address, redis.url.tls(), details),
        ErrorKind::Protocol => trouble::no_redis(&address, &[], details),
        _ => trouble::refused(&address, details),
    }
}

impl FredPublisher {
    fn gone(&self) -> LinkError {
        trouble::ended(&self.address, "closed by Redis (shut down, or restarted)")
    }
}

impl Publisher for FredPublisher {
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>> {
        Box::pin(async move {
            let (result, answer) = oneshot::channel();
            let channel = channel.clone();
            match self.orders.try_send(Order {
                channel,
                payload,
                result,
            }) {
                Ok(()) => answer.await.unwrap_or_else(|_| Err(self.gone())),
                Err(TrySendError::Closed(_)) => Err(self.gone()),
                Err(TrySendError::Full(_)) => Err(full(&self.address)),
            }
        })
    }
}

impl Drop for FredPublisher {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

fn full(address: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::TimedOut,
        format!("{address} has {BUFFER} messages waiting and takes no more"),
    )
}

fn failed(address: &str, error: &Error) -> LinkError {
    match error.kind() {
        ErrorKind::Timeout => trouble::unanswered(address),
        ErrorKind::IO | ErrorKind::Canceled => trouble::ended(address, error.details()),
        ErrorKind::Backpressure => full(address),
        _ => trouble::refused(address, error.details()),
    }
}

/// Sends what is ordered until the connection ends. A batch goes as two pipelines, the second with its last message: fred
/// writes every command by itself unless more pipelines wait, so everything before the last is written together. Whoever still waits then is told by the end of this task: fred would let
/// later commands wait for their whole time limit.
async fn send_all(client: Client, mut connection: AbortOnDrop, mut orders: mpsc::Receiver<Order>, address: String) {
    let (mut under_way, mut batch) = (FuturesUnordered::new(), Vec::new());
    loop {
        tokio::select! {
            biased;
            _ = &mut connection.0 => return,
            Some(()) = under_way.next() => {}
            count = orders.recv_many(&mut batch, BATCH), if under_way.len() < UNDER_WAY => {
                if count == 0 {
                    return;
                }
                let last = batch.split_off(count - 1);
                for part in [std::mem::take(&mut batch), last].into_iter().filter(|part| !part.is_empty()) {
                    let pipeline = client.pipeline();
                    let waiting = fill(&pipeline, part, &address).await;
                    let mut sending = Box::pin(send(pipeline, waiting, &address));
                    // The first poll sends: batches go out in order.
                    if poll!(&mut sending).is_pending() {
                        under_way.push(sending);
                    }
                }
            }
        }
    }
}

/// Whoever waits for the fate of a message.
type Waiting = oneshot::Sender<Result<u64, LinkError>>;

/// Puts messages in a pipeline. Who does not wait any more has given up, and tries another node.
async fn fill(pipeline: &Pipeline<Client>, batch: Vec<Order>, address: &str) -> Vec<Waiting> {
    let mut waiting = Vec::with_capacity(batch.len());
    for order in batch.into_iter().filter(|order| !order.result.is_closed()) {
        match pipeline.publish::<(), _, _>(&*order.channel, order.payload).await {
            Ok(()) => waiting.push(order.result),
            Err(error) => _ = order.result.send(Err(failed(address, &error))),
        }
    }
    waiting
}

/// Sends a batch and tells everyone what came of it.
async fn send(pipeline: Pipeline<Client>, waiting: Vec<Waiting>, address: &str) {
    let results = pipeline.try_all::<u64>().await;
    if results.len() != waiting.len() {
        // The pipeline as a whole failed.
        let error = results.into_iter().find_map(Result::err);
        let error = error.unwrap_or_else(|| Error::new(ErrorKind::Canceled, "no answer"));
        for one in waiting {
            let _gone = one.send(Err(failed(address, &error)));
        }
        return;
    }
    for (one, result) in waiting.into_iter().zip(results) {
        let _gone = one.send(result.map_err(|error| failed(address, &error)));
    }
}

/// Ends fred's task, and so the connection, with its owner.
struct AbortOnDrop(ConnectHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
