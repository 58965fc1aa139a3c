//! What servers ask each other about rooms, clients and totals, and this server's answers. Each server answers for itself, at
//! once; nothing is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::answers::WayBack;
use crate::counters::Counters;
use crate::flow::clients::local_clients::LocalClients;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::lapse::Lapse;
use crate::flow::state::tasks::Tasks;
use crate::flow::state::unix_time::now_ms;
use crate::local::{NamespaceCount, TopRooms};
use crate::metrics::Metrics;
use crate::nodes::NodeStatus;
use crate::options::Options;
use crate::wire::{ClientContext, ClientId, Missing, Namespace, Payload, Room, raw_json};

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

/// A server's totals, and what it noticed. A server of an older version sends only the first three.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsPart {
    /// Connected clients.
    pub clients: u64,
    /// Rooms with local members.
    pub rooms: u64,
    /// What it knows of each node.
    pub nodes: Vec<NodeStatus>,
    /// Spans of time for which the promise did not hold, as it noticed them, oldest first.
    #[serde(default)]
    pub lapses: Vec<Lapse>,
    /// Its clock: milliseconds since the Unix epoch; 0 from a server of an older version.
    #[serde(default)]
    pub clock_ms: u64,
    /// What its instance has counted.
    #[serde(default)]
    pub counters: Counters,
    /// Its rooms by namespace, by name; at most 64, and the rest together.
    #[serde(default)]
    pub namespaces: Vec<NamespaceCount>,
    /// Its rooms that have most.
    #[serde(default)]
    pub top_rooms: TopRooms,
    /// What its parts tell, by name: see [`Adapter::add_report`](crate::Adapter::add_report).
    #[serde(default, deserialize_with = "by_name")]
    pub reports: BTreeMap<String, Box<RawValue>>,
}

/// Reports by name. They may arrive as MessagePack, which [`RawValue`] itself does not read.
fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Box<RawValue>>, D::Error> {
    #[derive(Deserialize)]
    struct Json(#[serde(deserialize_with = "raw_json")] Option<Box<RawValue>>);

    let reports = BTreeMap::<String, Json>::deserialize(deserializer)?.into_iter();
    Ok(reports.filter_map(|(name, Json(json))| Some((name, json?))).collect())
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
        /// The beginning of namespaces; servers of older versions do not know it, and answer with more.
        #[serde(default, rename = "namespacePrefix", skip_serializing_if = "String::is_empty")]
        namespace_prefix: String,
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
    options: Arc<Options>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

impl Queries {
    pub(crate) fn new(
        clients: Arc<LocalClients>,
        nodes: watch::Receiver<Arc<Vec<NodeStatus>>>,
        foundation: &Foundation,
    ) -> Self {
        Self {
            clients,
            nodes,
            lapses: foundation.lapses.subscribe(),
            options: foundation.options.clone(),
            metrics: foundation.metrics.clone(),
            tasks: foundation.tasks.clone(),
        }
    }

    /// Answers a [`QUERY`]. Totals are made in a task of their own: they take longer, and reports are made by code that may panic,
    /// which must cost this answer and not the way in.
    pub(crate) fn answer(self: &Arc<Self>, way_back: WayBack, payload: &Payload) {
        let way_back = Arc::new(way_back);
        let query: Query = match payload.parse() {
            Ok(query) => query,
            Err(_) => return way_back.answer_later(Err(Missing::Unhandled)),
        };
        if !matches!(query, Query::Stats) {
            return way_back.answer_later(self.part(query));
        }
        let queries = self.clone();
        self.tasks.spawn(async move {
            // If this panics, the way back is dropped, which says that there is no reply.
            let totals = queries.part(query);
            way_back.answer_later(totals);
        });
    }

    fn part(&self, query: Query) -> Result<Payload, Missing> {
        let answer = match query {
            Query::Room { room } => Payload::new(&RoomPart {
                members: self.clients.hub().members(&room),
            }),
            Query::Rooms {
                namespace,
                namespace_prefix,
                prefix,
            } => Payload::new(&RoomsPart {
                rooms: self.clients.hub().rooms_where(|room| {
                    namespace.as_ref().is_none_or(|namespace| *namespace == room.namespace)
                        && room.namespace.as_str().starts_with(&namespace_prefix)
                        && room.id.as_str().starts_with(&prefix)
                }),
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
            Query::Stats => Payload::new(&self.stats()),
        };
        answer.map_err(|_| Missing::NoReply)
    }

    fn stats(&self) -> StatsPart {
        let hub = self.clients.hub();
        let (namespaces, top_rooms) = hub.census(Instant::now());
        StatsPart {
            clients: hub.client_count() as u64,
            rooms: hub.room_count() as u64,
            nodes: self.nodes.borrow().to_vec(),
            lapses: self.lapses.borrow().to_vec(),
            clock_ms: now_ms(),
            counters: Counters::read(&self.metrics),
            namespaces,
            top_rooms,
            reports: self.options.reports.make(),
        }
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
