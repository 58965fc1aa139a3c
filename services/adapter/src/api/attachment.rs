//! A connection's registration on this server. Dropping a client's last one takes it out of all rooms and off the bus.

use std::sync::Arc;

use crate::error::ClientError;
use crate::flow::clients::local_clients::LocalClients;
use crate::local::{ConnectionId, Introduction, LiveContext};
use crate::nodes::Channel;
use crate::wire::{ClientId, Room};

/// A connection's registration on this server. Dropping a client's last one takes it out of all rooms and off the bus.
#[derive(Debug)]
pub struct Attachment {
    clients: Arc<LocalClients>,
    client: ClientId,
    connection: ConnectionId,
    channel: Channel,
    context: LiveContext,
    is_detached: bool,
}

impl Attachment {
    pub(super) fn new(
        clients: &Arc<LocalClients>,
        client: ClientId,
        shard: usize,
        introduction: Introduction,
    ) -> Result<Self, ClientError> {
        let context = LiveContext::new(introduction);
        let (connection, channel) = clients.attach(&client, shard, context.clone())?;
        Ok(Self {
            clients: clients.clone(),
            client,
            connection,
            channel,
            context,
            is_detached: false,
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

    /// What is known about the connection.
    pub fn context(&self) -> &LiveContext {
        &self.context
    }

    /// The rooms that its client is in by now, through another connection. The shard's owner lets the new connection join
    /// them, after inserting it and before it takes the next command: [`Command::Join`](crate::Command::Join).
    pub fn rooms(&self) -> Vec<Room> {
        self.clients.hub().joined_rooms(&self.client)
    }

    /// Resolves when other servers can reach the client: confirmed on every node that this server hears.
    ///
    /// # Errors
    /// When no node has confirmed it within [`Options::request_timeout`](crate::Options::request_timeout); it is reachable on
    /// this server, and from others later.
    pub async fn confirmed(&self) -> Result<(), ClientError> {
        self.clients.confirmed(&self.channel).await
    }
}

impl Attachment {
    /// Ends the registration, as dropping it does. Before anything else happens to the client, `say` is told what was
    /// detached: in order with what an observer ([`Options::observer`](crate::Options::observer)) is told. It must neither wait
    /// nor call the adapter.
    pub fn detach(mut self, say: impl FnOnce(Detached)) {
        self.is_detached = true;
        let say = |is_here: bool| say(Detached { was_last: !is_here });
        self.clients.detach(&self.client, self.connection, &self.channel, say);
    }
}

/// A connection that was detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached {
    /// The client has no connection to this server any more. One that was dismissed by itself
    /// ([`Adapter::dismiss_connection`](crate::Adapter::dismiss_connection)) does not count, even if it has not ended yet.
    pub was_last: bool,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.is_detached {
            self.clients
                .detach(&self.client, self.connection, &self.channel, |_| ());
        }
    }
}
