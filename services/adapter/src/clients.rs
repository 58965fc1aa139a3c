//! Clients and rooms: the public verbs. Local clients first, then an envelope through one healthy node.

use std::sync::Arc;

use crate::adapter::{Adapter, Inner};
use crate::attachment::Attachment;
use crate::error::{ClientError, PublishError};
use crate::local::{Command, ConnectionId, Dismissal};
use crate::outbound::{Concerned, Published};
use crate::wire::{Body, ClientId, Frame, Namespace, Room, Topic};

/// How far a message to clients goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Clients on every server.
    #[default]
    Cluster,
    /// Clients of this server only.
    Local,
}

/// What is known of a client after a message was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// It is connected here, the frame is on its way to its outbox.
    Here,
    /// Some server subscribes to it: a hint, not a proof. Also while no node is heard, when nobody can know.
    Elsewhere,
    /// No server has it.
    Offline,
}

/// What is special about one message to a room.
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
    /// it. A client may have several connections: all get what is sent to it, share its rooms, and the newest is asked.
    /// Whether it may is not decided here: see [`Adapter::connections`] and [`Adapter::dismiss_connection`].
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn attach(&self, client: ClientId, shard: usize) -> Result<Attachment, ClientError> {
        Attachment::new(&self.inner, client, shard)
    }

    /// Resolves when other servers can reach a client of this server: as [`Attachment::confirmed`], for whoever does not
    /// hold the attachment.
    ///
    /// # Errors
    /// When the client is not connected here, or no node has confirmed it within
    /// [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn reachable(&self, client: &ClientId) -> Result<(), ClientError> {
        let inner = &self.inner;
        if !inner.hub.is_here(client) {
            return Err(ClientError::NotHere(client.clone()));
        }
        inner
            .confirmed(&inner.channels.channel(&Topic::Client(client.clone())))
            .await
    }

    /// A client of this server joins a room. Resolves when confirmed on every node that this server hears: no message
    /// sent after that is missed. Joining twice is joining once.
    ///
    /// # Errors
    /// When the client is not connected here; or when no node has confirmed it within
    /// [`Options::request_timeout`](crate::Options::request_timeout), see [`ClientError::Unconfirmed`].
    pub async fn join(&self, client: &ClientId, room: Room) -> Result<(), ClientError> {
        let inner = &self.inner;
        let channel = inner.channels.channel(&Topic::Room(room.clone()));
        let (locations, new) = inner
            .hub
            .join(client, &room)
            .ok_or_else(|| ClientError::NotHere(client.clone()))?;
        if new {
            inner.interest.hold(&channel);
            for location in locations.iter() {
                let command = Command::Join(location.connection, room.clone());
                inner.hub.command(location.shard, command).await;
            }
        }
        inner.confirmed(&channel).await
    }

    /// A client of this server leaves a room; `false` if it was not in it.
    ///
    /// # Errors
    /// When the client is not connected here.
    pub async fn leave(&self, client: &ClientId, room: &Room) -> Result<bool, ClientError> {
        self.inner
            .leave(client, room)
            .await
            .ok_or_else(|| ClientError::NotHere(client.clone()))
    }

    /// Everyone leaves the room, on every server.
    ///
    /// # Errors
    /// When no node took the message; local clients have left all the same.
    pub async fn remove_room(&self, room: &Room) -> Result<(), PublishError> {
        self.inner.remove_room_here(room, None).await;
        let body = Body::RoomRemove { room: room.clone() };
        self.to_topic(Topic::Room(room.clone()), body).await.map(drop)
    }

    /// Closes every connection of a client of this server; `false` if it is not here.
    pub async fn dismiss(&self, client: &ClientId, dismissal: Dismissal) -> bool {
        let mut dismissed = false;
        for location in self.inner.hub.locations(client).iter() {
            let command = Command::Dismiss(location.connection, dismissal.clone());
            dismissed |= self.inner.hub.command(location.shard, command).await;
        }
        dismissed
    }

    /// Closes one connection of a client of this server; `false` if it is not here (any more). It counts as gone from now on,
    /// however long its peer takes: what is sent to the client goes to its other connections, here or elsewhere.
    pub async fn dismiss_connection(&self, client: &ClientId, connection: ConnectionId, dismissal: Dismissal) -> bool {
        let hub = &self.inner.hub;
        let locations = hub.locations(client);
        let Some(location) = locations.iter().find(|location| location.connection == connection) else {
            return false;
        };
        for room in hub.detach(client, connection) {
            self.inner.release(&Topic::Room(room));
        }
        hub.command(location.shard, Command::Dismiss(connection, dismissal))
            .await
    }

    /// The connections of a client on this server and when each came, the oldest first.
    pub fn connections(&self, client: &ClientId) -> Vec<(ConnectionId, std::time::Instant)> {
        let connections = self.inner.hub.connections(client).into_iter();
        connections
            .map(|(connection, since)| (connection, since.into_std()))
            .collect()
    }

    /// To one client, wherever it is: if it is here, to all its connections on this server, and on every other one only with
    /// [`Options::several_homes`](crate::Options::several_homes).
    ///
    /// # Errors
    /// When no node took the message, unless the client is here and needs none.
    pub async fn to_client(&self, client: &ClientId, frame: Frame) -> Result<Presence, PublishError> {
        let here = self.inner.hub.to_client(client, frame.clone(), None).await;
        if here && !self.inner.options.several_homes {
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

    /// To several clients, wherever they are. Names those that were proved offline.
    ///
    /// # Errors
    /// When for at least one of them no node took the message; the others got it.
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

    /// To every client.
    ///
    /// # Errors
    /// When no node took the message; local clients got it.
    pub async fn to_everyone(&self, frame: Frame, scope: Scope) -> Result<(), PublishError> {
        self.inner.hub.to_everyone(frame.clone(), None).await;
        match scope {
            Scope::Local => Ok(()),
            Scope::Cluster => self.to_topic(Topic::Clients, Body::Everyone { frame }).await.map(drop),
        }
    }

    /// To the clients of a room.
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
        self.inner.hub.to_room(room, frame.clone(), excepted).await;
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

    async fn to_topic(&self, topic: Topic, body: Body) -> Result<Published, PublishError> {
        self.inner
            .publish(&topic, Concerned::Everyone, body, self.extras())
            .await
    }

    /// How many clients are connected to this server: ids, however many connections each has.
    pub fn client_count(&self) -> usize {
        self.inner.hub.client_count()
    }

    /// How many rooms have a member on this server.
    pub fn room_count(&self) -> usize {
        self.inner.hub.room_count()
    }

    /// Whether a client is connected to this server.
    pub fn is_here(&self, client: &ClientId) -> bool {
        self.inner.hub.is_here(client)
    }

    /// This server's members of a room.
    pub fn room_members(&self, room: &Room) -> Vec<ClientId> {
        self.inner.hub.members(room)
    }

    /// This server's rooms of a namespace (all, if none is given) whose id starts with `id_prefix`, with member counts.
    pub fn rooms(&self, namespace: Option<&Namespace>, id_prefix: &str) -> Vec<(Room, usize)> {
        self.inner.hub.rooms(namespace, id_prefix)
    }

    /// The rooms that a client of this server joined.
    pub fn joined_rooms(&self, client: &ClientId) -> Vec<Room> {
        self.inner.hub.joined_rooms(client)
    }
}

impl Inner {
    pub(crate) async fn leave(&self, client: &ClientId, room: &Room) -> Option<bool> {
        let (locations, was) = self.hub.leave(client, room)?;
        if was {
            for location in locations.iter() {
                let command = Command::Leave(location.connection, room.clone());
                self.hub.command(location.shard, command).await;
            }
            self.release(&Topic::Room(room.clone()));
        }
        Some(was)
    }
}
