//! One connection to a Redis: opens it, logs in, writes commands and reads frames. Shared by publisher and subscriber.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::{BytesFrame, Resp2Frame};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::extent::extent;
use super::login::Login;
use super::{Redis, trouble};
use crate::nodes::link::{LinkError, LinkErrorKind};

/// The size of the read buffer, which limits how much one read brings (more after a large message).
const READ: usize = 64 * 1024;
/// A new read buffer is allocated when the old one has less space than this. Not earlier: messages are slices that keep
/// their buffer alive, so small ones must share it.
const ROOM: usize = 8 * 1024;
/// A larger message ends the connection: wsmesh sends none, and it would have to be held in memory completely.
const LARGEST: usize = 64 * 1024 * 1024;

/// A larger answer to a question about the Redis itself ends the connection: the largest, of INFO, takes some kilobytes.
const LARGEST_ANSWER: usize = 1024 * 1024;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

pub(super) type Whole = Pin<Box<dyn Stream>>;

/// Opens a connection to an address of the host that answers, and says nothing on it.
pub(super) async fn reach(redis: &Redis) -> Result<TcpStream, LinkError> {
    let url = &redis.url;
    let reaching = timeout(redis.limit, wsmesh_dial::connect(url.host(), url.port(), redis.limit));
    match reaching.await {
        Ok(reached) => reached.map_err(|error| trouble::connect(&url.address(), url.tls(), &error.to_string())),
        Err(_) => Err(trouble::unreachable(&url.address(), url.tls())),
    }
}

/// A connection. `S` is the whole stream, or its reading half.
pub(super) struct Connection<S = Whole> {
    stream: S,
    read: BytesMut,
    address: String,
    limit: Duration,
}

impl Connection {
    /// Opens a connection, logs in and checks that a Redis answers.
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let opening = async {
            let mut connection = Self::open(redis).await?;
            match connection.introduce(redis).await {
                Err(error) if error.kind == LinkErrorKind::Closed => {
                    Err(trouble::ended_at_once(&connection.address, redis.url.tls(), &error))
                }
                Err(error) => Err(error),
                Ok(()) => Ok(connection),
            }
        };
        timeout(redis.limit, opening)
            .await
            .unwrap_or_else(|_| Err(trouble::unreachable(&redis.url.address(), redis.url.tls())))
    }

    async fn open(redis: &Redis) -> Result<Self, LinkError> {
        let (url, address) = (&redis.url, redis.url.address());
        let failed = |why: &dyn std::fmt::Display| trouble::connect(&address, url.tls(), &why.to_string());
        let tcp = reach(redis).await?;
        tcp.set_nodelay(true).map_err(|error| failed(&error))?;
        let stream: Whole = match &redis.tls {
            None => Box::pin(tcp),
            Some(tls) => {
                let config = tls.now().await.map_err(|problem| trouble::files(&address, &problem))?;
                let name = ServerName::try_from(url.host().to_owned()).map_err(|error| failed(&error))?;
                let tls = TlsConnector::from(config).connect(name, tcp).await;
                Box::pin(tls.map_err(|error| failed(&error))?)
            }
        };
        Ok(Self {
            stream,
            read: BytesMut::with_capacity(READ),
            address,
            limit: redis.limit,
        })
    }

    async fn introduce(&mut self, redis: &Redis) -> Result<(), LinkError> {
        self.log_in(&Login::of(&redis.url).await?).await?;
        self.command(&["PING"], "PONG").await??;
        // Only helps people who look at CLIENT LIST, so an ACL may forbid it.
        let _may_be_forbidden = self.command(&["CLIENT", "SETNAME", &redis.name], "OK").await?;
        Ok(())
    }

    /// Tries one password after the other. If none is accepted, the error is that of the first.
    async fn log_in(&mut self, login: &Login) -> Result<(), LinkError> {
        let mut refused = None;
        for attempt in login.attempts() {
            let words: Vec<_> = ["AUTH"]
                .into_iter()
                .chain(attempt.user())
                .chain([attempt.password()])
                .collect();
            match self.command(&words, "OK").await? {
                Ok(()) => {
                    attempt.worked();
                    return Ok(());
                }
                Err(error) => {
                    let error = attempt.explained(&self.address, error);
                    if error.kind != LinkErrorKind::Auth {
                        return Err(error);
                    }
                    refused.get_or_insert(error);
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends a command and waits for the answer. The outer error is the connection's, the inner one is Redis's.
    async fn command(&mut self, words: &[&str], expected: &str) -> Result<Result<(), LinkError>, LinkError> {
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
        self.write(words).await?;
        Ok(match self.answer().await? {
            BytesFrame::SimpleString(text) if text == expected.as_bytes() => Ok(()),
            BytesFrame::Error(text) => Err(trouble::rejected(&self.address, &text)),
            other => return Err(self.unexpected(&other)),
        })
    }

    /// Writes one command, within the time limit.
    pub(super) async fn write(&mut self, words: impl Iterator<Item = Bytes>) -> Result<(), LinkError> {
        let mut out = BytesMut::new();
        self.encode(&mut out, words)?;
        self.send(&out).await
    }

    fn encode(&self, out: &mut BytesMut, words: impl Iterator<Item = Bytes>) -> Result<(), LinkError> {
        let command = BytesFrame::Array(words.map(BytesFrame::BulkString).collect());
        let encoded = extend_encode(out, &command, false);
        encoded.map_err(|error| trouble::not_redis(&self.address, &[], &error.to_string()))?;
        Ok(())
    }

    async fn send(&mut self, out: &[u8]) -> Result<(), LinkError> {
        let write = async {
            self.stream.write_all(out).await?;
            // TLS may buffer data until it is flushed.
            self.stream.flush().await
        };
        match timeout(self.limit, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(trouble::ended(&self.address, &error.to_string())),
            Err(_) => Err(trouble::unanswered(&self.address)),
        }
    }

    /// Writes several commands at once, so that their answers cost one round trip.
    pub(super) async fn write_several(&mut self, commands: &[&[&'static str]]) -> Result<(), LinkError> {
        let mut out = BytesMut::new();
        for words in commands {
            let words = words.iter().map(|word| Bytes::from_static(word.as_bytes()));
            self.encode(&mut out, words)?;
        }
        self.send(&out).await
    }

    /// Splits the connection for a task that reads and writes at the same time.
    pub(super) fn split(self) -> (Connection<ReadHalf<Whole>>, WriteHalf<Whole>) {
        let (stream, writing) = tokio::io::split(self.stream);
        let reading = Connection {
            stream,
            read: self.read,
            address: self.address,
            limit: self.limit,
        };
        (reading, writing)
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// The next frame, if it was read completely.
    pub(super) fn decode(&mut self) -> Result<Option<BytesFrame>, LinkError> {
        if self.read.is_empty() {
            return Ok(None);
        }
        // It calls itself for each array in an array: only what is complete and not too deep may reach it.
        match extent(&self.read) {
            Ok(Some(_)) => {}
            Ok(None) if self.read.len() > LARGEST => {
                let text = format!("a message of more than {LARGEST} bytes");
                return Err(trouble::ended(&self.address, &text));
            }
            Ok(None) => return Ok(None),
            Err(why) => return Err(trouble::not_redis(&self.address, &self.read, why)),
        }
        match decode_bytes_mut(&mut self.read) {
            Ok(frame) => Ok(frame.map(|(frame, ..)| frame)),
            Err(error) => Err(trouble::not_redis(&self.address, &self.read, &error.to_string())),
        }
    }

    /// The next frame, as the answer to a question about the Redis itself.
    pub(super) async fn answer(&mut self) -> Result<BytesFrame, LinkError> {
        loop {
            if let Some(frame) = self.decode()? {
                return Ok(frame);
            }
            if self.read.len() > LARGEST_ANSWER {
                let text = format!("an answer of more than {LARGEST_ANSWER} bytes");
                return Err(trouble::ended(&self.address, &text));
            }
            self.fill().await?;
        }
    }

    /// Reads once. Cancelling loses nothing.
    pub(super) async fn fill(&mut self) -> Result<(), LinkError> {
        if self.read.capacity() - self.read.len() < ROOM {
            self.read.reserve(READ);
        }
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(trouble::ended(
                &self.address,
                "closed by Redis (shutting down, or this server reads too slowly)",
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(trouble::ended(&self.address, &error.to_string())),
        }
    }

    /// The error for a frame that fits none of our commands.
    pub(super) fn unexpected(&self, frame: &BytesFrame) -> LinkError {
        trouble::not_redis(&self.address, &[], &format!("unexpected {:?}", frame.kind()))
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}
