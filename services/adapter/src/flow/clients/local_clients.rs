//! This server's own clients and what they subscribe to: the hub's state, the shards' commands and the channels of rooms.

use std::sync::Arc;

use tokio::time::Instant;

use super::subscriptions::Subscriptions;
use crate::error::ClientError;
use crate::local::{Command, ConnectionId, Dismissal, Hub, LiveContext, Origin};
use crate::nodes::Channel;
use crate::wire::{ClientContext, ClientId, Room, Topic};

/// This server's clients.
#[derive(Debug)]
pub(crate) struct LocalClients {
    hub: Arc<Hub>,
    subscriptions: Arc<Subscriptions>,
    shards: usize,
    origin: Origin,
}

impl LocalClients {
    pub(crate) fn new(hub: Arc<Hub>, subscriptions: Arc<Subscriptions>, shards: usize, origin: Origin) -> Self {
        Self {
            hub,
            subscriptions,
            shards,
            origin,
        }
    }

    /// Which shard holds which client and room.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Registers a connection of a client; returns its number and its channel.
    pub(crate) fn attach(
        &self,
        client: &ClientId,
        shard: usize,
        context: LiveContext,
    ) -> Result<(ConnectionId, Channel), ClientError> {
        if shard >= self.shards {
            return Err(ClientError::NoShard(shard));
        }
        let channel = self.subscriptions.channel(&Topic::Client(client.clone()));
        self.subscriptions.hold(&channel);
        Ok((self.hub.attach(client, shard, context), channel))
    }

    /// The names of this server's connections.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is known about a client's connections to this server, newest first.
    pub(crate) fn contexts(&self, client: &ClientId) -> Vec<ClientContext> {
        let connections = self.hub.contexts(client).into_iter();
        connections
            .map(|(connection, context)| context.of(&self.origin, client.clone(), connection))
            .collect()
    }

    /// A connection has ended: its channel is released, and those of the rooms that nobody is in any more.
    /// Before anything else happens to the client, `say` is told whether it still has a connection here.
    pub(crate) fn detach(
        &self,
        client: &ClientId,
        connection: ConnectionId,
        channel: &Channel,
        say: impl FnOnce(bool),
    ) {
        for room in self.hub.detach_and(client, connection, say) {
            self.release_room(room);
        }
        self.subscriptions.release(channel);
    }

    /// Resolves when the nodes have confirmed a channel.
    pub(crate) async fn confirmed(&self, channel: &Channel) -> Result<(), ClientError> {
        self.subscriptions.confirmed(channel).await
    }

    /// A client joins a room; resolves when that is confirmed.
    pub(crate) async fn join(&self, client: &ClientId, room: Room) -> Result<(), ClientError> {
        let channel = self.subscriptions.channel(&Topic::Room(room.clone()));
        let joined = self.hub.join(client, &room);
        let (locations, new) = joined.ok_or_else(|| ClientError::NotHere(client.clone()))?;
        if new {
            self.subscriptions.hold(&channel);
            for location in locations.iter() {
                let command = Command::Join(location.connection, room.clone());
                self.hub.command(location.shard, command).await;
            }
        }
        self.subscriptions.confirmed(&channel).await
    }

    /// A client leaves a room; whether it was in it, and nothing if it is not here.
    pub(crate) async fn leave(&self, client: &ClientId, room: &Room) -> Option<bool> {
        let (locations, was) = self.hub.leave(client, room)?;
        if was {
            for location in locations.iter() {
                let command = Command::Leave(location.connection, room.clone());
                self.hub.command(location.shard, command).await;
            }
            self.release_room(room.clone());
        }
        Some(was)
    }

    /// Every client leaves the room, except those that joined it after a copy was sent.
    pub(crate) async fn remove_room(&self, room: &Room, sent: Option<Instant>) {
        let younger = self.hub.younger_members(room, sent);
        for client in self.hub.members(room) {
            if !younger.contains(&client) {
                self.leave(&client, room).await;
            }
        }
    }

    /// Closes every connection of a client; `false` if it is not here.
    pub(crate) async fn dismiss(&self, client: &ClientId, dismissal: Dismissal) -> bool {
        let mut dismissed = false;
        for location in self.hub.locations(client).iter() {
            let command = Command::Dismiss(location.connection, dismissal.clone());
            dismissed |= self.hub.command(location.shard, command).await;
        }
        dismissed
    }

    /// Closes one connection of a client, which counts as gone from now on; `false` if it is not here.
    pub(crate) async fn dismiss_connection(
        &self,
        client: &ClientId,
        connection: ConnectionId,
        dismissal: Dismissal,
    ) -> bool {
        let locations = self.hub.locations(client);
        let Some(location) = locations.iter().find(|location| location.connection == connection) else {
            return false;
        };
        self.take_out(client, connection);
        let command = Command::Dismiss(connection, dismissal);
        self.hub.command(location.shard, command).await
    }

    fn take_out(&self, client: &ClientId, connection: ConnectionId) {
        for room in self.hub.detach(client, connection) {
            self.release_room(room);
        }
    }

    fn release_room(&self, room: Room) {
        let channel = self.subscriptions.channel(&Topic::Room(room));
        self.subscriptions.release(&channel);
    }
}
