//! A client's registration on this server. Dropping it takes the client out of all rooms and off the bus.

use std::sync::Arc;
use tokio::time::Instant;

use crate::adapter::Inner;
use crate::error::ClientError;
use crate::local::{Command, ConnectionId, Dismissal};
use crate::nodes::Channel;
use crate::wire::{ClientId, Topic};

/// The close code of a connection whose client id logged in again (the original's).
const REPLACED: u16 = 4012;

/// A client's registration on this server; dropping it takes the client out of all rooms and off the bus.
#[derive(Debug)]
pub struct Attachment {
    inner: Arc<Inner>,
    client: ClientId,
    connection: ConnectionId,
    channel: Channel,
}

impl Attachment {
    pub(crate) fn new(inner: &Arc<Inner>, client: ClientId, shard: usize) -> Result<Self, ClientError> {
        if shard >= inner.options.shards {
            return Err(ClientError::NoShard(shard));
        }
        let channel = inner.channels.channel(&Topic::Client(client.clone()));
        inner.interest.hold(&channel);
        let (connection, former) = inner.hub.attach(&client, shard);
        if let Some(former) = former {
            inner.depart(&former);
            let dismissal = Dismissal {
                code: REPLACED,
                reason: "newer login of the same id".into(),
            };
            let (hub_owner, place) = (inner.clone(), former.place);
            let task = async move {
                hub_owner
                    .hub
                    .command(place.shard, Command::Dismiss(place.connection, dismissal))
                    .await;
            };
            inner.tasks.spawn_on(task, &inner.runtime);
        }
        Ok(Self {
            inner: inner.clone(),
            client,
            connection,
            channel,
        })
    }

    /// The client.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Its connection's id, for the shard.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Resolves when other servers can reach the client: confirmed on every node that this server hears.
    ///
    /// # Errors
    /// When no node has confirmed it within 5 s; it is reachable on this server, and from others later.
    pub async fn confirmed(&self) -> Result<(), ClientError> {
        self.inner.confirmed(&self.channel).await
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(departed) = self.inner.hub.detach(&self.client, self.connection) {
            self.inner.depart(&departed);
        }
        self.inner.interest.release(&self.channel, Instant::now());
    }
}
