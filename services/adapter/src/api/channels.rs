//! Custom channels: any map, on a channel that the application names, to every server that listens to it.
//!
//! The name is the Redis channel's as it is given, as in the JavaScript package, so programs that are not servers of this cluster
//! can take part. Servers add a field `wm` to the map, which other programs ignore and listeners do not see. A message without
//! it is not deduplicated.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tracing::Span;

use super::adapter::Adapter;
use crate::cluster::{ListenerId, Listeners};
use crate::error::{ChannelError, PublishError};
use crate::flow::clients::subscriptions::Subscriptions;
use crate::flow::inward::event::ChannelMessage;
use crate::flow::outward::outage::Published;
use crate::flow::outward::seal::Concerned;
use crate::nodes::Channel;
use crate::wire::{Body, Payload, Topic};

/// Longest name of a custom channel, in bytes.
const MAX_NAME: usize = 256;

/// A custom channel as a stream; dropping it ends listening.
#[derive(Debug)]
pub struct ChannelListener {
    listeners: Arc<Listeners<ChannelMessage>>,
    subscriptions: Arc<Subscriptions>,
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

impl Stream for ChannelListener {
    type Item = ChannelMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChannelMessage>> {
        self.messages.poll_recv(cx)
    }
}

impl Drop for ChannelListener {
    fn drop(&mut self) {
        self.listeners.remove(self.id);
        self.subscriptions.release(&self.channel);
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
        let listeners = self.parts.flow.dispatch.channels().clone();
        let subscriptions = self.parts.flow.subscriptions.clone();
        let (id, messages) = listeners.add(name, None, false);
        subscriptions.hold(&channel);
        let listener = ChannelListener {
            listeners,
            subscriptions,
            id,
            channel,
            messages,
        };
        listener.subscriptions.confirmed(&listener.channel).await?;
        Ok(listener)
    }

    /// Publishes a map to a custom channel, with `senderServer` added; a field `wm` is replaced. Returns how many servers received
    /// it, this one included if it listens; 0 in single-server mode, and while no node is heard: then it goes out later.
    ///
    /// # Errors
    /// When the name is not allowed, or no node took the message.
    pub async fn publish_channel(&self, name: &str, mut map: Map<String, Value>) -> Result<u64, ChannelError> {
        let channel = self.custom_channel(name)?;
        // These two name the sender; the application cannot set them.
        map.remove("wm");
        map.insert("senderServer".to_owned(), Value::from(self.name().as_str()));
        let payload = Payload::new(&map).map_err(PublishError::from)?;
        let sender = Some(self.name().clone());
        self.parts
            .flow
            .dispatch
            .channels()
            .dispatch(name, None, || ChannelMessage {
                sender: sender.clone(),
                payload: payload.clone(),
                // That of the publisher must not last until it is handled here.
                span: Span::none(),
            });
        let body = Body::Custom { payload };
        let published = self
            .parts
            .flow
            .outbound
            .publish(
                &Topic::Custom(channel),
                Concerned::Everyone,
                body,
                self.publish_options(),
            )
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
        if let Some(prefix) = self.parts.foundation.channels.taken_prefix(name.as_bytes()) {
            return Err(ChannelError::Reserved {
                name: name.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        Ok(Channel::from(name))
    }
}
