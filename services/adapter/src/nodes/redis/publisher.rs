//! Publishing through fred. Its traps are closed: every command has a time limit, its buffers are bounded, it never tries
//! again by itself (the node's task makes a new connection, and the message goes to another node).

use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::Builder;
use fred::types::ConnectHandle;
use fred::types::RespVersion;
use fred::types::config::{Config, ServerConfig, TlsConfig, TlsConnector, UnresponsiveConfig};

use super::Redis;
use crate::nodes::link::{Boxed, Channel, LinkError, LinkErrorKind, Publisher};

/// Commands that wait for one connection; more are refused and go to another node.
const BUFFER: usize = 100_000;

pub(super) struct FredPublisher {
    client: Client,
    task: ConnectHandle,
    address: String,
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
        match client.init().await {
            Ok(task) => Ok(Self {
                client,
                task,
                address: url.address(),
            }),
            Err(error) => Err(explain(redis, &error)),
        }
    }
}

fn explain(redis: &Redis, error: &Error) -> LinkError {
    match error.kind() {
        ErrorKind::Auth => redis.refused(error.details()),
        ErrorKind::Timeout => {
            let text = format!(
                "{} did not answer in time (hung, or a firewall in between?)",
                redis.url.address()
            );
            LinkError::new(LinkErrorKind::TimedOut, text)
        }
        ErrorKind::IO | ErrorKind::Tls => redis.cannot_connect(&std::io::Error::other(error.details())),
        _ => redis.refused(error.details()),
    }
}

impl Publisher for FredPublisher {
    fn publish<'a>(&'a self, channel: &'a Channel, payload: Bytes) -> Boxed<'a, Result<u64, LinkError>> {
        Box::pin(async move {
            self.client
                .publish::<u64, _, _>(&**channel, payload)
                .await
                .map_err(|error| {
                    let kind = match error.kind() {
                        ErrorKind::Timeout => LinkErrorKind::TimedOut,
                        ErrorKind::IO | ErrorKind::Canceled => LinkErrorKind::Closed,
                        _ => LinkErrorKind::Protocol,
                    };
                    LinkError::new(
                        kind,
                        format!("{} did not take a message: {}", self.address, error.details()),
                    )
                })
        })
    }
}

impl Drop for FredPublisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
