//! Questions about the whole cluster: rooms, clients, totals. Gathered from every server over the bus.
//!
//! Every answer says who is missing. Nothing is stored anywhere: each server answers for itself, at once.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::adapter::Adapter;
use crate::cluster::Outcome;
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::target::Target;
use crate::flow::inward::queries::{ClientPart, ClientsPart, QUERY, Query, RoomPart, RoomsPart, StatsPart};
use crate::wire::{ClientId, Namespace, Payload, Room, ServerName};

/// An answer gathered from every live server.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered<T> {
    /// Each server's answer.
    pub servers: Vec<(ServerName, T)>,
    /// The servers that did not answer, and why (in words).
    pub missing: Vec<(ServerName, String)>,
    /// Whether everyone answered.
    pub complete: bool,
}

impl Adapter {
    /// The members of a room, on every server.
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

    /// The servers that a client is connected to, its rooms there, and what is known about its connections.
    pub async fn cluster_client(&self, client: &ClientId) -> Gathered<ClientPart> {
        self.gather(Query::Client {
            client: client.clone(),
            contexts: true,
        })
        .await
    }

    /// Which of these clients each server has, and since when: one question for all of them.
    pub async fn cluster_clients(&self, clients: &[ClientId]) -> Gathered<ClientsPart> {
        self.gather(Query::Clients {
            clients: clients.to_vec(),
            contexts: false,
        })
        .await
    }

    /// As [`Adapter::cluster_clients`], with what is known about their connections. A server whose answer is larger than any
    /// message may be is missing: ask about fewer clients at once.
    pub async fn cluster_contexts(&self, clients: &[ClientId]) -> Gathered<ClientsPart> {
        self.gather(Query::Clients {
            clients: clients.to_vec(),
            contexts: true,
        })
        .await
    }

    /// Every server's totals and statuses of nodes.
    pub async fn cluster_stats(&self) -> Gathered<StatsPart> {
        self.gather(Query::Stats).await
    }

    /// As [`Adapter::cluster_stats`], for which the servers have this long.
    pub async fn cluster_stats_within(&self, limit: Duration) -> Gathered<StatsPart> {
        let options = RequestOptions {
            timeout: Some(limit),
            ..RequestOptions::default()
        };
        self.gather_with(Query::Stats, options).await
    }

    async fn gather<T: DeserializeOwned>(&self, query: Query) -> Gathered<T> {
        self.gather_with(query, RequestOptions::default()).await
    }

    async fn gather_with<T: DeserializeOwned>(&self, query: Query, options: RequestOptions) -> Gathered<T> {
        let outcome = match Payload::new(&query) {
            Ok(payload) => self.ask(Target::Everyone, QUERY, payload, options).await,
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
