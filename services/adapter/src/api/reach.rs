//! Sending to clients by a server that has to say what came of it: how many servers got a message, and who has a client.
//!
//! The same way as `to_client`, `to_room` and `to_everyone`, which do not look at the roster for it. A number counts servers that
//! subscribe: a server that let go of a client or a room a moment ago counts, too. Who has a client is asked, and so is certain.

use std::collections::HashMap;

use super::adapter::Adapter;
use crate::error::PublishError;
use crate::flow::outward::outage::Published;
use crate::wire::{Body, ClientId, Frame, Room, ServerName, Topic};

/// How far a message got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This many servers got it, this one included if it has clients for it. 0 proves that no server has any, as far as the
    /// servers share a working node with this one.
    Servers(usize),
    /// It was accepted and goes out as soon as a node is heard: nobody can know the number.
    Later,
}

/// Which servers have a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// The servers that say that they have it, this one included.
    pub servers: Vec<ServerName>,
    /// Whether every server that may have it has answered. If not, there may be more.
    pub complete: bool,
}

impl Adapter {
    /// Sends a frame to one client, wherever it is connected, and says how many servers got it.
    ///
    /// # Errors
    /// As [`Adapter::to_client`].
    pub async fn reach_client(&self, client: &ClientId, frame: Frame) -> Result<Reach, PublishError> {
        let hub = self.parts.flow.clients.hub();
        let here = hub.to_client(client, frame.clone(), None).await;
        if here && !self.parts.foundation.options.several_homes {
            return Ok(Reach::Servers(1));
        }
        let body = Body::Client {
            client: client.clone(),
            frame,
        };
        self.reach(Topic::Client(client.clone()), body, here).await
    }

    /// Sends a frame to the clients in a room, on every server, and says how many servers got it.
    ///
    /// # Errors
    /// As [`Adapter::to_room`].
    pub async fn reach_room(&self, room: &Room, frame: Frame, except: Vec<ClientId>) -> Result<Reach, PublishError> {
        let hub = self.parts.flow.clients.hub();
        let shards = hub.to_room(room, frame.clone(), except.as_slice().into()).await;
        let body = Body::Room {
            room: room.clone(),
            except,
            frame,
        };
        self.reach(Topic::Room(room.clone()), body, shards > 0).await
    }

    /// Sends a frame to every client but some, on every server, and says how many servers got it. Servers of the JavaScript
    /// package, and those of an older version, leave nobody out.
    ///
    /// # Errors
    /// As [`Adapter::to_everyone`].
    pub async fn reach_everyone(&self, frame: Frame, except: Vec<ClientId>) -> Result<Reach, PublishError> {
        let hub = self.parts.flow.clients.hub();
        hub.to_everyone_but(frame.clone(), None, &except).await;
        let here = hub.client_count() > 0;
        self.reach(Topic::Clients, Body::Everyone { except, frame }, here).await
    }

    /// Every client leaves the room, on every server. Says how many servers were told.
    ///
    /// # Errors
    /// When no node took the message; local clients have left all the same.
    pub async fn remove_room(&self, room: &Room) -> Result<Reach, PublishError> {
        let here = !self.room_members(room).is_empty();
        self.parts.flow.clients.remove_room(room, None).await;
        let body = Body::RoomRemove { room: room.clone() };
        self.reach(Topic::Room(room.clone()), body, here).await
    }

    /// Asks who has a client: only servers that subscribe to it are asked. With shared routing all servers are, and servers of the
    /// JavaScript package cannot say, so nobody is known to be offline.
    ///
    /// # Errors
    /// When the question could not be sent within [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn locate(&self, client: &ClientId) -> Result<Located, PublishError> {
        if self.parts.foundation.channels.is_shared() {
            let gathered = self.cluster_client(client).await;
            let having = gathered.servers.into_iter().filter(|(_, part)| part.connected);
            return Ok(Located {
                servers: having.map(|(server, _)| server).collect(),
                complete: false,
            });
        }
        let found = self.parts.flow.holders.find(client, self.order_key()).await?;
        let here = self.is_here(client).then(|| self.name().clone());
        Ok(Located {
            servers: found.servers.into_iter().chain(here).collect(),
            complete: found.is_complete,
        })
    }

    /// As [`Adapter::locate`], for several clients, in their order: one question to every server for all of them. A question that
    /// cannot be sent leaves everything open.
    pub async fn locate_all(&self, clients: &[ClientId]) -> Vec<Located> {
        let gathered = self.cluster_clients(clients).await;
        let complete = gathered.complete && !self.parts.foundation.channels.is_shared();
        let mut servers: HashMap<&ClientId, Vec<ServerName>> = HashMap::with_capacity(clients.len());
        for (server, part) in &gathered.servers {
            for online in &part.online {
                servers.entry(&online.client).or_default().push(server.clone());
            }
        }
        let located = clients.iter().map(|client| Located {
            servers: servers.get(client).cloned().unwrap_or_default(),
            complete,
        });
        located.collect()
    }

    /// Publishes after the clients here were served; counts the servers.
    async fn reach(&self, topic: Topic, body: Body, here: bool) -> Result<Reach, PublishError> {
        let own = u64::from(self.parts.flow.subscriptions.wants(&topic));
        match self.to_topic(topic, body).await? {
            Published::Later => Ok(Reach::Later),
            Published::Now(receivers) => {
                let others = receivers.saturating_sub(own);
                // Through several nodes a server counts several times. Servers of the JavaScript package are in no roster.
                let others = if self.parts.foundation.channels.is_shared() {
                    others
                } else {
                    others.min(self.parts.foundation.members.roster().len() as u64)
                };
                Ok(Reach::Servers(
                    usize::try_from(others)
                        .unwrap_or(usize::MAX)
                        .saturating_add(usize::from(here)),
                ))
            }
        }
    }
}
