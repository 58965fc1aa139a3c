//! Subscribing: one connection that does nothing but read and hand over. Written for the promise that nothing read from
//! Redis is dropped: messages are slices of the read buffer, and no queue lies between the socket and the caller.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Redis;
use crate::nodes::link::{Arrival, Boxed, Channel, LinkError, LinkErrorKind, Subscriber};

/// How much one read may bring.
const READ: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

pub(super) struct Connection {
    stream: Pin<Box<dyn Stream>>,
    read: BytesMut,
    address: String,
    limit: Duration,
}

impl Connection {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let mut connection = timeout(redis.limit, Self::open(redis)).await.unwrap_or_else(|_| {
            let text = format!(
                "{} did not answer in time (hung, or a firewall in between?)",
                redis.url.address()
            );
            Err(LinkError::new(LinkErrorKind::TimedOut, text))
        })?;
        connection.introduce(redis).await?;
        Ok(connection)
    }

    async fn open(redis: &Redis) -> Result<Self, LinkError> {
        let url = &redis.url;
        let tcp = TcpStream::connect((url.host(), url.port()))
            .await
            .map_err(|error| redis.cannot_connect(&error))?;
        tcp.set_nodelay(true).map_err(|error| redis.cannot_connect(&error))?;
        let stream: Pin<Box<dyn Stream>> = match &redis.tls {
            None => Box::pin(tcp),
            Some(config) => {
                let name = ServerName::try_from(url.host().to_owned())
                    .map_err(|error| redis.cannot_connect(&std::io::Error::other(error)))?;
                let tls = TlsConnector::from(config.clone()).connect(name, tcp).await;
                Box::pin(tls.map_err(|error| redis.cannot_connect(&error))?)
            }
        };
        Ok(Self {
            stream,
            read: BytesMut::with_capacity(READ),
            address: url.address(),
            limit: redis.limit,
        })
    }

    /// Logs in, and makes sure that this is a Redis that answers.
    async fn introduce(&mut self, redis: &Redis) -> Result<(), LinkError> {
        if let Some(password) = redis.url.password() {
            let mut login = vec!["AUTH"];
            login.extend(redis.url.username());
            login.push(password);
            self.command(redis, &login, "OK").await?;
        }
        self.command(redis, &["PING"], "PONG").await?;
        // Only for people who look at CLIENT LIST: an ACL may forbid it, and that is fine.
        let _ = self.command(redis, &["CLIENT", "SETNAME", &redis.name], "OK").await;
        Ok(())
    }

    async fn command(&mut self, redis: &Redis, words: &[&str], expected: &str) -> Result<(), LinkError> {
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let round_trip = async {
            self.write(words).await?;
            loop {
                if let Some(frame) = self.decode()? {
                    return Ok(frame);
                }
                self.fill().await?;
            }
        };
        let answer = timeout(redis.limit, round_trip).await.unwrap_or_else(|_| {
            Err(LinkError::new(
                LinkErrorKind::TimedOut,
                format!("{} did not answer in time", redis.url.address()),
            ))
        })?;
        match answer {
            BytesFrame::SimpleString(text) if text == expected.as_bytes() => Ok(()),
            BytesFrame::Error(text) => Err(redis.refused(&text)),
            other => Err(redis.refused(&format!("{other:?}"))),
        }
    }

    async fn write(&mut self, words: impl Iterator<Item = Bytes>) -> Result<(), LinkError> {
        let command = BytesFrame::Array(words.map(BytesFrame::BulkString).collect());
        let mut out = BytesMut::new();
        extend_encode(&mut out, &command, false).map_err(|error| self.broken(&error))?;
        let limit = self.limit;
        match timeout(limit, self.stream.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.ended(&error.to_string())),
            Err(_) => Err(LinkError::new(
                LinkErrorKind::TimedOut,
                format!("{} takes nothing", self.address),
            )),
        }
    }

    fn decode(&mut self) -> Result<Option<BytesFrame>, LinkError> {
        match decode_bytes_mut(&mut self.read) {
            Ok(decoded) => Ok(decoded.map(|(frame, ..)| frame)),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Reads once. Cancelling it loses nothing.
    async fn fill(&mut self) -> Result<(), LinkError> {
        self.read.reserve(READ);
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(self.ended("closed by Redis (shut down, or this subscriber was too slow)")),
            Ok(_) => Ok(()),
            Err(error) => Err(self.ended(&error.to_string())),
        }
    }

    fn ended(&self, why: &str) -> LinkError {
        LinkError::new(
            LinkErrorKind::Closed,
            format!("the connection to {} ended: {why}", self.address),
        )
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> LinkError {
        let text = format!(
            "{} sent what is not Redis's protocol ({error}): is this a Redis server?",
            self.address
        );
        LinkError::new(LinkErrorKind::Protocol, text)
    }

    /// What a frame in subscribed mode means.
    fn arrival(&self, frame: BytesFrame) -> Result<Arrival, LinkError> {
        let mut parts = match frame {
            BytesFrame::Array(parts) => parts.into_iter(),
            other => return Err(self.broken(&format!("{other:?}"))),
        };
        match (parts.next(), parts.next(), parts.next()) {
            (
                Some(BytesFrame::BulkString(kind)),
                Some(BytesFrame::BulkString(channel)),
                Some(BytesFrame::BulkString(payload)),
            ) if &kind[..] == b"message" => Ok(Arrival::Message { channel, payload }),
            (Some(BytesFrame::BulkString(kind)), ..) if &kind[..] == b"subscribe" || &kind[..] == b"unsubscribe" => {
                Ok(Arrival::Confirmed)
            }
            other => Err(self.broken(&format!("{other:?}"))),
        }
    }

    async fn ask(&mut self, command: &'static str, channels: &[Channel]) -> Result<(), LinkError> {
        let names = channels
            .iter()
            .map(|channel| Bytes::copy_from_slice(channel.as_bytes()));
        self.write(std::iter::once(Bytes::from_static(command.as_bytes())).chain(names))
            .await
    }
}

impl Subscriber for Connection {
    fn subscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(self.ask("SUBSCRIBE", channels))
    }

    fn unsubscribe<'a>(&'a mut self, channels: &'a [Channel]) -> Boxed<'a, Result<(), LinkError>> {
        Box::pin(self.ask("UNSUBSCRIBE", channels))
    }

    fn next(&mut self) -> Boxed<'_, Result<Vec<Arrival>, LinkError>> {
        Box::pin(async {
            let mut arrivals = Vec::new();
            loop {
                while let Some(frame) = self.decode()? {
                    arrivals.push(self.arrival(frame)?);
                }
                if !arrivals.is_empty() {
                    return Ok(arrivals);
                }
                self.fill().await?;
            }
        })
    }
}
