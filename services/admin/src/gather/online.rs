//! Many clients at once: which are connected, where and since when.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{ClientContext, ClientId, ClientsPart, Gathered, ServerName};

use super::{ClientState, rfc3339};
use crate::shapes::{self, Name};

/// `POST /api/v1/clients/query`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ClientsFound)]
pub(crate) struct ClientsView {
    /// Each client in question once, in the order of the question.
    pub(crate) clients: Vec<ClientFound>,
}

/// One of the clients in question.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ClientFound {
    #[schema(value_type = Name)]
    pub(crate) client: ClientId,
    pub(crate) state: ClientState,
    /// By server, the oldest first.
    pub(crate) connections: Vec<ConnectionFound>,
    /// What is known about the connections, newest first of each server. Left out if it was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<shapes::Context>, required = false)]
    pub(crate) contexts: Vec<ClientContext>,
}

/// A connection of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConnectionFound {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    /// By the server's clock.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) since: Timestamp,
}

/// Where these clients are.
pub(crate) fn clients(ids: Vec<ClientId>, gathered: &Gathered<ClientsPart>) -> ClientsView {
    let mut found: HashMap<&ClientId, (Vec<ConnectionFound>, Vec<ClientContext>)> = HashMap::with_capacity(ids.len());
    for (server, part) in &gathered.servers {
        for online in &part.online {
            let connections = online.since_ms.iter().map(|ms| ConnectionFound {
                server: server.clone(),
                since: i64::try_from(*ms)
                    .ok()
                    .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                    .unwrap_or(Timestamp::UNIX_EPOCH),
            });
            let (all, contexts) = found.entry(&online.client).or_default();
            all.extend(connections);
            contexts.extend(online.contexts.iter().cloned());
        }
    }
    let clients = ids.iter().map(|client| {
        let (connections, contexts) = found.remove(client).unwrap_or_default();
        ClientFound {
            client: client.clone(),
            state: ClientState::of(!connections.is_empty(), gathered.complete),
            connections,
            contexts,
        }
    });
    ClientsView {
        clients: clients.collect(),
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::OnlineClient;

    use super::*;

    #[test]
    fn each_client_in_question_is_answered_in_its_place() {
        let id = |text: &str| ClientId::new(text).expect("an id");
        let server = |text: &str| ServerName::new(text).expect("a name");
        let part = |since: &[u64]| ClientsPart {
            online: vec![OnlineClient {
                client: id("ann"),
                since_ms: since.to_vec(),
                contexts: Vec::new(),
            }],
        };
        let mut gathered = Gathered {
            servers: vec![(server("edge-1"), part(&[1, 2])), (server("edge-2"), part(&[u64::MAX]))],
            missing: Vec::new(),
            complete: true,
        };
        let states = |gathered: &_| {
            let view = clients(vec![id("bob"), id("ann")], gathered);
            let found = view.clients.iter();
            found
                .map(|found| (found.state, found.connections.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            states(&gathered),
            [(ClientState::Offline, 0), (ClientState::Connected, 3)]
        );
        gathered.complete = false;
        assert_eq!(
            states(&gathered),
            [(ClientState::Unknown, 0), (ClientState::Connected, 3)]
        );
    }
}
