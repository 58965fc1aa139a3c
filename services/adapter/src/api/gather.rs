//! What people ask about the whole cluster: servers, rooms, clients, totals. Gathered from every server over the bus.
//!
//! Every answer says who is missing. Nothing is stored anywhere: each server answers for itself, at once.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::adapter::{Adapter, Inner};
use crate::api::requests::RequestOptions;
use crate::cluster::Outcome;
use crate::error::Missing;
use crate::flow::targets::Target;
use crate::life::lapses::Lapse;
use crate::nodes::NodeStatus;
use crate::wire::{ClientId, Instance, Namespace, NodeId, Payload, Room, ServerName, ServiceName};

/// The event by which servers ask each other; answered by the adapter itself.
pub(crate) const QUERY: &str = "wsmesh.query";

/// One live server, as this server sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Its name.
    pub name: ServerName,
    /// Its service.
    pub service: ServiceName,
    /// Which process.
    pub instance: Instance,
    /// Its version.
    pub version: String,
    /// Clients connected to it.
    pub clients: u64,
    /// Rooms with a member on it.
    pub rooms: u64,
    /// Nodes it hears.
    pub heard: Vec<NodeId>,
    /// Whether it is started far enough to count for choices.
    pub counted: bool,
    /// Whether it is about to leave: it finishes what it has begun, and gets nothing new.
    #[serde(default)]
    pub retiring: bool,
    /// Milliseconds since its last beacon; 0 for this server.
    pub age_ms: u64,
}

impl ServerInfo {
    /// Whether it is another process, or hears, counts or leaves otherwise; load and age change all the time.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let key = |info: &Self| (info.instance, info.counted, info.retiring);
        (&self.name, key(self), &self.heard) != (&other.name, key(other), &other.heard)
    }
}

/// An answer gathered from every live server.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered<T> {
    /// What each server said.
    pub servers: Vec<(ServerName, T)>,
    /// Who did not answer, and why (in words).
    pub missing: Vec<(ServerName, String)>,
    /// Whether everyone answered.
    pub complete: bool,
}

/// A server's part of a room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomPart {
    /// Its local members.
    pub members: Vec<ClientId>,
}

/// A server's word on a client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientPart {
    /// Whether it is connected there.
    pub connected: bool,
    /// The rooms it joined there.
    pub rooms: Vec<Room>,
}

/// A server's rooms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomsPart {
    /// Each room with a local member, and how many.
    pub rooms: Vec<(Room, usize)>,
}

/// A server's totals, and what it noticed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatsPart {
    /// Connected clients.
    pub clients: u64,
    /// Rooms with local members.
    pub rooms: u64,
    /// What it knows of each node.
    pub nodes: Vec<NodeStatus>,
    /// Spans of time for which the promise did not hold, as it noticed them, oldest first. A server of an older version tells
    /// none.
    #[serde(default)]
    pub lapses: Vec<Lapse>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Query {
    Room {
        room: Room,
    },
    Rooms {
        namespace: Option<Namespace>,
        prefix: String,
    },
    Client {
        client: ClientId,
    },
    Stats,
}

impl Adapter {
    /// Who is in a room, on every server.
    pub async fn cluster_room(&self, room: &Room) -> Gathered<RoomPart> {
        self.gather(Query::Room { room: room.clone() }).await
    }

    /// The rooms of a namespace (all, if none is given) whose id starts with `prefix`, on every server.
    pub async fn cluster_rooms(&self, namespace: Option<Namespace>, prefix: &str) -> Gathered<RoomsPart> {
        self.gather(Query::Rooms {
            namespace,
            prefix: prefix.to_owned(),
        })
        .await
    }

    /// Where a client is.
    pub async fn cluster_client(&self, client: &ClientId) -> Gathered<ClientPart> {
        self.gather(Query::Client { client: client.clone() }).await
    }

    /// Every server's totals and statuses of nodes.
    pub async fn cluster_stats(&self) -> Gathered<StatsPart> {
        self.gather(Query::Stats).await
    }

    async fn gather<T: DeserializeOwned>(&self, query: Query) -> Gathered<T> {
        let outcome = match Payload::new(&query) {
            Ok(payload) => {
                self.ask(Target::Everyone, QUERY, payload, RequestOptions::default())
                    .await
            }
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(outcome) => sorted(outcome),
            Err(error) => {
                let missing = vec![(self.name().clone(), error.to_string())];
                Gathered {
                    servers: Vec::new(),
                    missing,
                    complete: false,
                }
            }
        }
    }
}

fn sorted<T: DeserializeOwned>(outcome: Outcome) -> Gathered<T> {
    let mut gathered = Gathered {
        servers: Vec::new(),
        missing: Vec::new(),
        complete: false,
    };
    for reply in outcome.replies {
        match reply.payload.parse() {
            Ok(part) => gathered.servers.push((reply.server, part)),
            Err(error) => gathered
                .missing
                .push((reply.server, format!("answered something else: {error}"))),
        }
    }
    let silent = outcome
        .missing
        .into_iter()
        .map(|(server, why)| (server, why.to_string()));
    gathered.missing.extend(silent);
    gathered.servers.sort_by(|a, b| a.0.cmp(&b.0));
    gathered.missing.sort();
    gathered.complete = gathered.missing.is_empty();
    gathered
}

impl Inner {
    /// This server's answer to a query.
    pub(crate) fn answer_query(self: &Arc<Self>, payload: &Payload) -> Result<Payload, Missing> {
        let query: Query = payload.parse().map_err(|_| Missing::Unhandled)?;
        let answer = match query {
            Query::Room { room } => Payload::new(&RoomPart {
                members: self.hub.members(&room),
            }),
            Query::Rooms { namespace, prefix } => Payload::new(&RoomsPart {
                rooms: self.hub.rooms(namespace.as_ref(), &prefix),
            }),
            Query::Client { client } => Payload::new(&ClientPart {
                connected: self.hub.is_here(&client),
                rooms: self.hub.joined_rooms(&client),
            }),
            Query::Stats => Payload::new(&StatsPart {
                clients: self.hub.client_count() as u64,
                rooms: self.hub.room_count() as u64,
                nodes: self.nodes_view.borrow().to_vec(),
                lapses: self.lapses.borrow().to_vec(),
            }),
        };
        answer.map_err(|_| Missing::NoReply)
    }
}
