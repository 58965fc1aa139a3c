//! Clients and rooms: the public methods. Local clients first, then an envelope through one healthy node.

use std::sync::Arc;

use super::adapter::Adapter;
use super::attachment::Attachment;
use crate::error::{ClientError, PublishError};
use crate::flow::outward::outage::Published;
use crate::flow::outward::seal::Concerned;
use crate::local::{ConnectionId, Dismissal, Introduction, LiveContext};
use crate::wire::{Body, ClientContext, ClientId, Frame, Namespace, NodeId, Room, Topic};

/// How far a message to clients goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Clients on every server.
    #[default]
    Cluster,
    /// Clients of this server only.
    Local,
}

/// Where a client is, as known after a message was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// It is connected here; the frame is on its way to its outbox.
    Here,
    /// Some server subscribes to it: a hint, not a proof. Also returned while no node is heard, when nobody can know.
    Elsewhere,
    /// No server has it.
    Offline,
}

/// Options of one message to a room.
#[derive(Debug, Clone, Default)]
pub struct RoomOptions {
    /// Clients that do not get it.
    pub except: Vec<ClientId>,
    /// How far it goes.
    pub scope: Scope,
}

impl Adapter {
    /// Registers a client's connection on a shard; the shard's owner then inserts it with [`Attachment::connection`] and
    /// lets it join [`Attachment::rooms`]. Cheap and local; [`Attachment::confirmed`] resolves when other servers can reach
    /// it. A client may have several connections: all get its messages and share its rooms; requests go to the newest.
    /// Whether several connections are allowed is not decided here: see [`Adapter::connections`] and [`Adapter::dismiss_connection`].
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn attach(&self, client: ClientId, shard: usize) -> Result<Attachment, ClientError> {
        self.attach_with(client, shard, Introduction::default())
    }

    /// As [`Adapter::attach`], with what is known about the connection: services can ask for it.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn attach_with(
        &self,
        client: ClientId,
        shard: usize,
        introduction: Introduction,
    ) -> Result<Attachment, ClientError> {
        Attachment::new(&self.parts.flow.clients, client, shard, introduction)
    }

    /// What is known about a connection of this server, whose handle its owner has from [`Attachment::context`].
    pub fn context(&self, client: &ClientId, connection: ConnectionId, context: &LiveContext) -> ClientContext {
        context.of(self.parts.flow.clients.origin(), client.clone(), connection)
    }

    /// The name of a connection of this server, as [`ClientContext::connection`] has it: unique in the cluster, also over time.
    pub fn connection_name(&self, connection: ConnectionId) -> String {
        self.parts.flow.clients.origin().connection_name(connection)
    }

    /// Resolves when other servers can reach a client of this server. As [`Attachment::confirmed`], for callers that do not
    /// hold the attachment.
    ///
    /// # Errors
    /// When the client is not connected here, or no node has confirmed it within
    /// [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn reachable(&self, client: &ClientId) -> Result<(), ClientError> {
        if !self.is_here(client) {
            return Err(ClientError::NotHere(client.clone()));
        }
        let subscriptions = &self.parts.flow.subscriptions;
        let channel = subscriptions.channel(&Topic::Client(client.clone()));
        subscriptions.confirmed(&channel).await
    }

    /// A client of this server joins a room. Resolves when confirmed on every node that this server hears: no message
    /// sent after that is missed. Joining twice is joining once.
    ///
    /// # Errors
    /// When the client is not connected here; or when no node has confirmed it within
    /// [`Options::request_timeout`](crate::Options::request_timeout), see [`ClientError::Unconfirmed`].
    pub async fn join(&self, client: &ClientId, room: Room) -> Result<(), ClientError> {
        self.parts.flow.clients.join(client, room).await
    }

    /// A client of this server leaves a room; `false` if it was not in it.
    ///
    /// # Errors
    /// When the client is not connected here.
    pub async fn leave(&self, client: &ClientId, room: &Room) -> Result<bool, ClientError> {
        let left = self.parts.flow.clients.leave(client, room).await;
        left.ok_or_else(|| ClientError::NotHere(client.clone()))
    }

    /// Closes every connection of a client of this server; `false` if it is not here.
    ///
    /// # Errors
    /// When a close frame must not carry the code.
    pub async fn dismiss(&self, client: &ClientId, dismissal: Dismissal) -> Result<bool, ClientError> {
        check(&dismissal)?;
        Ok(self.parts.flow.clients.dismiss(client, dismissal).await)
    }

    /// Closes one connection of a client of this server; `false` if it is not here (any more). It counts as gone from now on,
    /// however long its peer takes: messages to the client go to its other connections, here or elsewhere.
    ///
    /// # Errors
    /// When a close frame must not carry the code.
    pub async fn dismiss_connection(
        &self,
        client: &ClientId,
        connection: ConnectionId,
        dismissal: Dismissal,
    ) -> Result<bool, ClientError> {
        check(&dismissal)?;
        let clients = &self.parts.flow.clients;
        Ok(clients.dismiss_connection(client, connection, dismissal).await)
    }

    /// The connections of a client on this server and when each came, the oldest first.
    pub fn connections(&self, client: &ClientId) -> Vec<(ConnectionId, std::time::Instant)> {
        let connections = self.parts.flow.clients.hub().connections(client).into_iter();
        connections
            .map(|(connection, since)| (connection, since.into_std()))
            .collect()
    }

    /// Sends a frame to one client, wherever it is connected. If it is connected here, all its connections on this server get it,
    /// and those on other servers only with [`Options::several_homes`](crate::Options::several_homes).
    ///
    /// # Errors
    /// When no node took the message, unless the client is here and needs none.
    pub async fn to_client(&self, client: &ClientId, frame: Frame) -> Result<Presence, PublishError> {
        let here = self
            .parts
            .flow
            .clients
            .hub()
            .to_client(client, frame.clone(), None)
            .await;
        if here && !self.parts.foundation.options.several_homes {
            return Ok(Presence::Here);
        }
        let body = Body::Client {
            client: client.clone(),
            frame,
        };
        let published = self.to_topic(Topic::Client(client.clone()), body).await?;
        Ok(match published {
            _ if here => Presence::Here,
            Published::Now(0) => Presence::Offline,
            Published::Now(_) | Published::Later => Presence::Elsewhere,
        })
    }

    /// Sends a frame to one connection of a client of this server, after what was sent to it before; `false` if it is not here (any
    /// more).
    pub async fn to_connection(&self, client: &ClientId, connection: ConnectionId, frame: Frame) -> bool {
        let hub = self.parts.flow.clients.hub();
        hub.to_connection(client, connection, frame).await
    }

    /// The node that carried a frame to this server; none if it was sent by this server, or, usually, if the node is not used any
    /// more: a node that took its place meanwhile is taken for it.
    pub fn carrier(&self, frame: &Frame) -> Option<NodeId> {
        let choices = self.parts.foundation.choices.load();
        Some(choices.nodes.at(frame.carrier()?)?.id.clone())
    }

    /// Sends a frame to several clients, wherever they are connected. Returns those that are known to be offline.
    ///
    /// # Errors
    /// When no node took the message for at least one of them; the others got it.
    pub async fn to_clients(&self, clients: &[ClientId], frame: Frame) -> Result<Vec<ClientId>, PublishError> {
        let sending = clients.iter().map(|client| self.to_client(client, frame.clone()));
        let mut offline = Vec::new();
        let mut refused = None;
        for (client, result) in clients.iter().zip(futures_util::future::join_all(sending).await) {
            match result {
                Ok(Presence::Offline) => offline.push(client.clone()),
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(offline), Err)
    }

    /// Sends a frame to every client.
    ///
    /// # Errors
    /// When no node took the message; local clients got it.
    pub async fn to_everyone(&self, frame: Frame, scope: Scope) -> Result<(), PublishError> {
        self.parts.flow.clients.hub().to_everyone(frame.clone(), None).await;
        match scope {
            Scope::Local => Ok(()),
            Scope::Cluster => {
                let except = Vec::new();
                let body = Body::Everyone { except, frame };
                self.to_topic(Topic::Clients, body).await.map(drop)
            }
        }
    }

    /// Sends a frame to the clients in a room.
    ///
    /// # Errors
    /// When no node took the message; local members got it.
    pub async fn to_room(&self, room: &Room, frame: Frame, options: RoomOptions) -> Result<(), PublishError> {
        let RoomOptions { except, scope } = options;
        // An empty slice needs no allocation of its own.
        let excepted = if except.is_empty() {
            Arc::default()
        } else {
            except.as_slice().into()
        };
        self.parts
            .flow
            .clients
            .hub()
            .to_room(room, frame.clone(), excepted)
            .await;
        match scope {
            Scope::Local => Ok(()),
            Scope::Cluster => {
                let body = Body::Room {
                    room: room.clone(),
                    except,
                    frame,
                };
                self.to_topic(Topic::Room(room.clone()), body).await.map(drop)
            }
        }
    }

    pub(super) async fn to_topic(&self, topic: Topic, body: Body) -> Result<Published, PublishError> {
        self.parts
            .flow
            .outbound
            .publish(&topic, Concerned::Everyone, body, self.publish_options())
            .await
    }

    /// How many clients are connected to this server: ids, however many connections each has.
    pub fn client_count(&self) -> usize {
        self.parts.flow.clients.hub().client_count()
    }

    /// How many rooms have a member on this server.
    pub fn room_count(&self) -> usize {
        self.parts.flow.clients.hub().room_count()
    }

    /// Whether a client is connected to this server.
    pub fn is_here(&self, client: &ClientId) -> bool {
        self.parts.flow.clients.hub().is_here(client)
    }

    /// This server's members of a room.
    pub fn room_members(&self, room: &Room) -> Vec<ClientId> {
        self.parts.flow.clients.hub().members(room)
    }

    /// This server's rooms of a namespace (all, if none is given) whose id starts with `id_prefix`, with member counts.
    pub fn rooms(&self, namespace: Option<&Namespace>, id_prefix: &str) -> Vec<(Room, usize)> {
        self.parts.flow.clients.hub().rooms(namespace, id_prefix)
    }

    /// Whether a client of this server is in a room.
    pub fn has_joined(&self, client: &ClientId, room: &Room) -> bool {
        self.parts.flow.clients.hub().has_joined(client, room)
    }

    /// The rooms that a client of this server joined.
    pub fn joined_rooms(&self, client: &ClientId) -> Vec<Room> {
        self.parts.flow.clients.hub().joined_rooms(client)
    }
}

fn check(dismissal: &Dismissal) -> Result<(), ClientError> {
    if dismissal.may_be_sent() {
        Ok(())
    } else {
        Err(ClientError::CloseCode(dismissal.code))
    }
}
