//! What servers ask each other about rooms, clients and totals, and this server's answers. Each server answers for itself, at
//! once; nothing is stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::flow::clients::local_clients::LocalClients;
use crate::flow::state::lapse::Lapse;
use crate::flow::state::unix_time::now_ms;
use crate::nodes::NodeStatus;
use crate::wire::{ClientContext, ClientId, Missing, Namespace, Payload, Room};

/// The event by which servers ask each other; answered by the adapter itself.
pub(crate) const QUERY: &str = "wsmesh.query";

/// A server's part of a room.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomPart {
    /// Its local members.
    pub members: Vec<ClientId>,
}

/// What a server knows of a client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientPart {
    /// Whether it is connected there.
    pub connected: bool,
    /// The rooms it joined there.
    pub rooms: Vec<Room>,
    /// What is known about its connections there, newest first. None if it was not asked for, and from a server of an older
    /// version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<ClientContext>,
}

/// Those of the clients in question that a server has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientsPart {
    /// In the order of the question.
    pub online: Vec<OnlineClient>,
}

/// A client that a server has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlineClient {
    /// The client.
    pub client: ClientId,
    /// When each of its connections came, the oldest first: milliseconds since the Unix epoch, by that server's clock.
    pub since_ms: Vec<u64>,
    /// What is known about its connections there, newest first. None if it was not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<ClientContext>,
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
    /// Spans of time for which the promise did not hold, as it noticed them, oldest first. A server of an older version sends
    /// none.
    #[serde(default)]
    pub lapses: Vec<Lapse>,
}

/// A question to every server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Query {
    Room {
        room: Room,
    },
    Rooms {
        namespace: Option<Namespace>,
        prefix: String,
    },
    Client {
        client: ClientId,
        /// Whether the contexts of its connections are wanted, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        contexts: bool,
    },
    Clients {
        clients: Vec<ClientId>,
        /// Whether the contexts of their connections are wanted, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        contexts: bool,
    },
    Stats,
}

/// The state that queries are answered from.
#[derive(Debug)]
pub(crate) struct Queries {
    clients: Arc<LocalClients>,
    nodes: watch::Receiver<Arc<Vec<NodeStatus>>>,
    lapses: watch::Receiver<Arc<Vec<Lapse>>>,
}

impl Queries {
    pub(crate) fn new(
        clients: Arc<LocalClients>,
        nodes: watch::Receiver<Arc<Vec<NodeStatus>>>,
        lapses: watch::Receiver<Arc<Vec<Lapse>>>,
    ) -> Self {
        Self { clients, nodes, lapses }
    }

    /// This server's answer to a [`QUERY`].
    pub(crate) fn answer(&self, payload: &Payload) -> Result<Payload, Missing> {
        let query: Query = payload.parse().map_err(|_| Missing::Unhandled)?;
        let answer = match query {
            Query::Room { room } => Payload::new(&RoomPart {
                members: self.clients.hub().members(&room),
            }),
            Query::Rooms { namespace, prefix } => Payload::new(&RoomsPart {
                rooms: self.clients.hub().rooms(namespace.as_ref(), &prefix),
            }),
            Query::Client { client, contexts } => Payload::new(&ClientPart {
                connected: self.clients.hub().is_here(&client),
                rooms: self.clients.hub().joined_rooms(&client),
                contexts: if contexts {
                    self.clients.contexts(&client)
                } else {
                    Vec::new()
                },
            }),
            Query::Clients { clients, contexts } => Payload::new(&ClientsPart {
                online: clients
                    .into_iter()
                    .filter_map(|client| self.online(client, contexts))
                    .collect(),
            }),
            Query::Stats => Payload::new(&StatsPart {
                clients: self.clients.hub().client_count() as u64,
                rooms: self.clients.hub().room_count() as u64,
                nodes: self.nodes.borrow().to_vec(),
                lapses: self.lapses.borrow().to_vec(),
            }),
        };
        answer.map_err(|_| Missing::NoReply)
    }

    fn online(&self, client: ClientId, contexts: bool) -> Option<OnlineClient> {
        let (now, now_ms) = (Instant::now(), now_ms());
        let since_ms = |since| now_ms.saturating_sub(now.saturating_duration_since(since).as_millis() as u64);
        let connections = self.clients.hub().connections(&client);
        let since_ms: Vec<_> = connections.into_iter().map(|(_, since)| since_ms(since)).collect();
        (!since_ms.is_empty()).then(|| OnlineClient {
            contexts: if contexts {
                self.clients.contexts(&client)
            } else {
                Vec::new()
            },
            client,
            since_ms,
        })
    }
}
