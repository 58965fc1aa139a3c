//! Publishing through fred. Its traps are closed: every command has a time limit, its buffers are bounded, it never tries
//! again by itself (the node's task makes a new connection, and the message goes to another node).

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::config::{Config, ServerConfig, TlsConfig, TlsConnector, UnresponsiveConfig};
use fred::types::{Builder, ClusterHash, ConnectHandle, CustomCommand, RespVersion, Value};
use futures_util::future::{Either, select};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Redis, trouble};
use crate::nodes::link::{Boxed, Channel, LinkError, LinkErrorKind, Publisher};

/// Commands that wait for one connection; more are refused and go to another node.
const BUFFER: usize = 100_000;

pub(super) struct FredPublisher {
    client: Client,
    address: String,
    /// Cancelled when the connection has ended: fred would let later commands wait for their whole time limit.
    ended: CancellationToken,
    watch: JoinHandle<()>,
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
        let task = client.init().await.map_err(|error| explain(redis, &error))?;
        let ended = CancellationToken::new();
        let publisher = Self {
            client,
            address: url.address(),
            ended: ended.clone(),
            watch: tokio::spawn(watch(AbortOnDrop(task), ended)),
        };
        // Only for people who look at CLIENT LIST: an ACL may forbid it, and that is fine.
        let command = CustomCommand::new_static("CLIENT", ClusterHash::Random, false);
        let arguments = vec!["SETNAME", redis.name.as_str()];
        let _ = publisher.client.custom::<Value, _>(command, arguments).await;
        Ok(publisher)
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

    fn failed(&self, error: &Error) -> LinkError {
        match error.kind() {
            ErrorKind::Timeout => trouble::unanswered(&self.address),
            ErrorKind::IO | ErrorKind::Canceled => trouble::ended(&self.address, error.details()),
            ErrorKind::Backpressure => LinkError::new(
                LinkErrorKind::TimedOut,
                format!("{} has {BUFFER} messages waiting and takes no more", self.address),
            ),
            _ => trouble::refused(&self.address, error.details()),
        }
    }
}

impl Publisher for FredPublisher {
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>> {
        Box::pin(async move {
            if self.ended.is_cancelled() {
                return Err(self.gone());
            }
            let publishing = pin!(self.client.publish::<u64, _, _>(&**channel, payload));
            // Not tokio's select: that one may put off the first poll, which is what keeps messages in order.
            match select(publishing, pin!(self.ended.cancelled())).await {
                Either::Left((result, _)) => result.map_err(|error| self.failed(&error)),
                Either::Right(_) => Err(self.gone()),
            }
        })
    }
}

impl Drop for FredPublisher {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Ends fred's task, and so the connection, with its owner.
struct AbortOnDrop(ConnectHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells when fred's task has ended, which is when its connection has.
async fn watch(mut task: AbortOnDrop, ended: CancellationToken) {
    let _ = (&mut task.0).await;
    ended.cancel();
}
