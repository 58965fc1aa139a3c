//! The subscribing connection, which only reads and hands over. Nothing read from Redis is dropped: messages are slices
//! of the read buffer, and there is no queue between the socket and the caller.

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;

use super::connection::Connection;
use super::limits::{self, OfSubscriber};
use super::{Redis, trouble};
use crate::nodes::link::{Arrival, Boxed, Channel, LinkError, LinkErrorKind, Subscriber, SubscriberNumber};
use crate::wire::RunId;

pub(super) struct RedisSubscriber {
    connection: Connection,
    /// An error that was found after arrivals that must be returned first.
    failed: Option<LinkError>,
    said: OfSubscriber,
}

impl RedisSubscriber {
    pub(super) async fn connect(redis: &Redis) -> Result<Self, LinkError> {
        let mut connection = Connection::connect(redis).await?;
        let said = limits::of_subscriber(&mut connection).await?;
        Ok(Self {
            connection,
            failed: None,
            said,
        })
    }

    /// The meaning of a frame in subscribed mode.
    fn arrival(&self, frame: BytesFrame) -> Result<Arrival, LinkError> {
        let mut parts = match frame {
            BytesFrame::Array(parts) => parts.into_iter(),
            BytesFrame::Error(text) => {
                let error = trouble::rejected(self.connection.address(), &text);
                return match error.kind {
                    LinkErrorKind::Forbidden => Ok(Arrival::Rejected),
                    _ => Err(error),
                };
            }
            other => return Err(self.connection.unexpected(&other)),
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
            (Some(kind), ..) => Err(self.connection.unexpected(&kind)),
            (None, ..) => Err(self.connection.unexpected(&BytesFrame::Null)),
        }
    }

    fn next_arrival(&mut self) -> Result<Option<Arrival>, LinkError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.connection.decode()?.map(|frame| self.arrival(frame)).transpose()
    }

    async fn ask(&mut self, command: &'static str, channels: &[Channel]) -> Result<(), LinkError> {
        // UNSUBSCRIBE without channels would give up all of them.
        if channels.is_empty() {
            return Ok(());
        }
        let names = channels
            .iter()
            .map(|channel| Bytes::copy_from_slice(channel.as_bytes()));
        let words = std::iter::once(Bytes::from_static(command.as_bytes())).chain(names);
        self.connection.write(words).await
    }
}

impl Subscriber for RedisSubscriber {
    fn holds(&self) -> Option<usize> {
        self.said.holds
    }

    fn number(&self) -> Option<SubscriberNumber> {
        self.said.number
    }

    fn run(&self) -> Option<RunId> {
        self.said.run.clone()
    }

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
                loop {
                    match self.next_arrival() {
                        Ok(Some(arrival)) => arrivals.push(arrival),
                        Ok(None) => break,
                        Err(error) if arrivals.is_empty() => return Err(error),
                        Err(error) => {
                            self.failed = Some(error);
                            break;
                        }
                    }
                }
                if !arrivals.is_empty() {
                    return Ok(arrivals);
                }
                self.connection.fill().await?;
            }
        })
    }
}
