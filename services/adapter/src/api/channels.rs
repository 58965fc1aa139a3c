//! Custom channels: any map, on a channel that the application names, to every server that listens to it.
//!
//! The name is the Redis channel's as it is given, as in the original, so programs that are no servers of this cluster
//! can take part. What arrives is not deduplicated when its sender says nothing of itself: ours add a field `wm` to the map,
//! which other programs ignore and our listeners do not see.

use std::sync::Arc;
use tokio::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::api::adapter::{Adapter, Inner};
use crate::cluster::ListenerId;
use crate::error::{ChannelError, PublishError};
use crate::flow::outbound::{Concerned, Published};
use crate::nodes::Channel;
use crate::wire::{Body, Payload, ServerName, Topic};

/// Longest name of a custom channel, in bytes.
const MAX_NAME: usize = 256;

/// What arrived on a custom channel.
#[derive(Debug, Clone)]
pub struct ChannelMessage {
    /// Who sent it, if it says so.
    pub sender: Option<ServerName>,
    /// The whole map, but for `wm`.
    pub payload: Payload,
}

/// A custom channel as a stream; dropping it ends listening.
#[derive(Debug)]
pub struct ChannelListener {
    inner: Arc<Inner>,
    id: ListenerId,
    channel: Channel,
    messages: mpsc::Receiver<ChannelMessage>,
}

impl ChannelListener {
    /// Waits for the next message. `None` never comes while the listener lives.
    pub async fn next(&mut self) -> Option<ChannelMessage> {
        self.messages.recv().await
    }
}

impl futures_util::Stream for ChannelListener {
    type Item = ChannelMessage;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<ChannelMessage>> {
        self.messages.poll_recv(cx)
    }
}

impl Drop for ChannelListener {
    fn drop(&mut self) {
        self.inner.custom.remove(self.id);
        self.inner.interest.release(&self.channel, Instant::now());
    }
}

impl Adapter {
    /// Listens to a custom channel. Resolves when confirmed on every node that this server hears.
    ///
    /// # Errors
    /// When the name is empty, too long, or one of this cluster's own; or when no node confirmed it within
    /// [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn listen_channel(&self, name: &str) -> Result<ChannelListener, ChannelError> {
        let channel = self.custom_channel(name)?;
        let (id, messages) = self.inner.custom.add(name, None, false);
        self.inner.interest.hold(&channel);
        let listener = ChannelListener {
            inner: self.inner.clone(),
            id,
            channel,
            messages,
        };
        self.inner.confirmed(&listener.channel).await?;
        Ok(listener)
    }

    /// Publishes a map to a custom channel, with `senderServer` added; a field `wm` is replaced. Returns how many servers received
    /// it, this one included if it listens; 0 in single-server mode, and while no node is heard: then it goes out later.
    ///
    /// # Errors
    /// When the name is not allowed, or no node took the message.
    pub async fn publish_channel(&self, name: &str, mut map: Map<String, Value>) -> Result<u64, ChannelError> {
        let channel = self.custom_channel(name)?;
        // Ours: who sends it says so, not its application.
        map.remove("wm");
        map.insert("senderServer".to_owned(), Value::from(self.name().as_str()));
        let payload = Payload::new(&map).map_err(PublishError::from)?;
        let sender = Some(self.name().clone());
        self.inner.custom.dispatch(name, None, || ChannelMessage {
            sender: sender.clone(),
            payload: payload.clone(),
        });
        let body = Body::Custom { payload };
        let published = self
            .inner
            .publish(&Topic::Custom(channel), Concerned::Everyone, body, self.extras())
            .await?;
        Ok(match published {
            Published::Now(receivers) => receivers,
            Published::Later => 0,
        })
    }

    fn custom_channel(&self, name: &str) -> Result<Channel, ChannelError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(ChannelError::Length(name.len()));
        }
        if let Some(prefix) = self.inner.channels.taken_prefix(name.as_bytes()) {
            return Err(ChannelError::Reserved {
                name: name.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        Ok(Channel::from(name))
    }
}
