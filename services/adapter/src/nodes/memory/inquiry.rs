//! Questions to a node of the embedded bus, which has only what it can say truthfully: it calls its version `embedded`.

use std::sync::Arc;

use super::connection::closed;
use super::link::Connected;
use super::node::{BUFFER, MemoryNode};
use crate::nodes::facts::{NodeFacts, OutputBuffer};
use crate::nodes::inquiry::{About, BufferLimit, Inquiry, Interview, Rights};
use crate::nodes::link::{Boxed, Channel, LinkError, SubscriberNumber};
use crate::wire::ServerName;

/// What a node of the embedded bus calls its version.
const VERSION: &str = "embedded";

/// A connection for questions to an embedded node.
pub(super) struct MemoryInquiry {
    node: Arc<MemoryNode>,
    link: Connected,
}

impl MemoryInquiry {
    pub(super) fn new(node: Arc<MemoryNode>, link: Connected) -> Self {
        Self { node, link }
    }

    /// Fails if the node is dead; waits while it, or the link to it, hangs.
    async fn answers(&self) -> Result<(), LinkError> {
        if !self.link.passes().await {
            return Err(closed());
        }
        self.node.connect(|_| ()).await
    }
}

impl Inquiry for MemoryInquiry {
    fn facts<'a>(
        &'a mut self,
        subscribers: &'a [(ServerName, SubscriberNumber)],
    ) -> Boxed<'a, Result<NodeFacts, LinkError>> {
        Box::pin(async move {
            self.answers().await?;
            let state = self.node.state();
            let buffer = |(server, number): &(ServerName, SubscriberNumber)| {
                state.waiting_for(*number).map(|bytes| OutputBuffer {
                    server: server.clone(),
                    bytes: bytes as u64,
                })
            };
            let mut output_buffers: Vec<_> = subscribers.iter().filter_map(buffer).collect();
            output_buffers.sort_by(|a, b| a.server.cmp(&b.server));
            Ok(NodeFacts {
                version: Some(VERSION.to_owned()),
                clients: Some(state.subscriber_count() as u64),
                pubsub_channels: Some(state.channel_count() as u64),
                pubsub_patterns: Some(0),
                output_buffers,
                ..NodeFacts::default()
            })
        })
    }

    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>> {
        Box::pin(async {
            self.answers().await?;
            Ok(About::default())
        })
    }

    fn close(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async {})
    }
}

impl Interview for MemoryInquiry {
    fn about(&mut self) -> Boxed<'_, Result<About, LinkError>> {
        Inquiry::about(self)
    }

    fn rights<'a>(&'a mut self, _channels: &'a [Channel]) -> Boxed<'a, Result<Option<Rights>, LinkError>> {
        Box::pin(async {
            self.answers().await?;
            Ok(Some(Rights::default()))
        })
    }

    fn buffer_limit(&mut self) -> Boxed<'_, Result<Option<BufferLimit>, LinkError>> {
        Box::pin(async {
            self.answers().await?;
            Ok(Some(BufferLimit {
                hard: BUFFER as u64,
                soft: 0,
                soft_seconds: 0,
            }))
        })
    }
}
