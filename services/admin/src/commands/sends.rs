//! Messages to a room, to clients, to everyone. Nothing is awaited between the call and the adapter's publish, so that messages leave
//! in the order of the calls; where a client is must be known before.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use wsmesh_adapter::{Adapter, ClientId, Located, Reach, Room};

use super::message::{check_except, check_ids, distinct};
use super::{Accepted, AcceptedForClient, AcceptedForClients, Message, Outcome};
use crate::gather::ClientState;
use crate::problem::Problem;

/// Where clients are, asked before messages are sent to them.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts(HashMap<ClientId, Located>);

impl Whereabouts {
    /// Asks for one client: only the servers that may have it are asked.
    pub(crate) async fn of(adapter: &Adapter, client: &ClientId) -> Self {
        // If the question cannot be sent, nothing is known. The message may wait for a Redis node all the same.
        let located = adapter.locate(client).await.unwrap_or_default();
        Self(HashMap::from([(client.clone(), located)]))
    }

    /// Asks for several clients at once.
    pub(crate) async fn of_all(adapter: &Adapter, clients: &[ClientId]) -> Self {
        match clients {
            [] => Self::default(),
            [client] => Self::of(adapter, client).await,
            _ => {
                let located = adapter.locate_all(clients).await;
                Self(clients.iter().cloned().zip(located).collect())
            }
        }
    }

    fn of_one(&self, client: &ClientId) -> Located {
        self.0.get(client).cloned().unwrap_or_default()
    }
}

fn is_nowhere(located: &Located) -> bool {
    located.complete && located.servers.is_empty()
}

fn servers(reach: Reach) -> Option<usize> {
    match reach {
        Reach::Servers(servers) => Some(servers),
        Reach::Later => None,
    }
}

/// Sends a message to the members of a room.
pub(crate) async fn to_room(
    adapter: &Adapter,
    room: &Room,
    message: &Message,
    except: Vec<ClientId>,
) -> Result<Accepted, Problem> {
    check_except(&except)?;
    let reach = adapter.reach_room(room, message.frame(), except).await?;
    Ok(Accepted::at(servers(reach)))
}

/// Sends a message to every client.
pub(crate) async fn to_everyone(
    adapter: &Adapter,
    message: &Message,
    except: Vec<ClientId>,
) -> Result<Accepted, Problem> {
    check_except(&except)?;
    let reach = adapter.reach_everyone(message.frame(), except).await?;
    Ok(Accepted::at(servers(reach)))
}

/// Sends a message to a client.
pub(crate) async fn to_client(
    adapter: &Adapter,
    client: &ClientId,
    message: &Message,
    whereabouts: &Whereabouts,
) -> Result<Outcome, Problem> {
    let located = whereabouts.of_one(client);
    if is_nowhere(&located) {
        return Err(Problem::offline(client));
    }
    let reach = adapter.reach_client(client, message.frame()).await?;
    if reach == Reach::Servers(0) {
        return Err(Problem::offline(client));
    }
    let certain = servers(reach)
        .filter(|_| located.complete)
        .map(|_| located.servers.len());
    Ok(Outcome::AcceptedForClient(AcceptedForClient {
        accepted: true,
        servers: certain.or(servers(reach)),
        state: match located.servers.is_empty() {
            true => ClientState::Unknown,
            false => ClientState::Connected,
        },
    }))
}

/// Sends a message to several clients.
///
/// # Errors
/// When all of them are offline, or the message was sent to none of them.
pub(crate) async fn to_clients(
    adapter: &Adapter,
    clients: Vec<ClientId>,
    message: &Message,
) -> Result<Outcome, Problem> {
    check_ids(&clients)?;
    let sent = many(adapter, clients, message).await?;
    if sent.unknown.is_empty() && sent.servers == 0 && sent.failed.is_empty() {
        return Err(Problem::all_offline(&sent.offline));
    }
    Ok(Outcome::AcceptedForClients(sent))
}

/// Sends a message to several clients; any of them may be offline.
///
/// # Errors
/// When the message was sent to none of them.
pub(crate) async fn many(
    adapter: &Adapter,
    clients: Vec<ClientId>,
    message: &Message,
) -> Result<AcceptedForClients, Problem> {
    let clients = distinct(clients);
    let whereabouts = Whereabouts::of_all(adapter, &clients).await;
    let frame = message.frame();
    let sending = clients.iter().map(async |client| {
        let located = whereabouts.of_one(client);
        if is_nowhere(&located) {
            return (located, Ok(Reach::Servers(0)));
        }
        let reach = adapter.reach_client(client, frame.clone()).await;
        (located, reach)
    });
    let mut sent = AcceptedForClients {
        accepted: true,
        ..AcceptedForClients::default()
    };
    let (mut servers, mut refused) = (HashSet::new(), None);
    for (client, (located, reach)) in clients.iter().zip(join_all(sending).await) {
        match reach {
            Ok(Reach::Servers(0)) => sent.offline.push(client.clone()),
            Ok(_) if located.servers.is_empty() => sent.unknown.push(client.clone()),
            Ok(_) => servers.extend(located.servers),
            Err(error) => {
                sent.failed.push(client.clone());
                refused = Some(error);
            }
        }
    }
    sent.servers = servers.len();
    match refused {
        Some(error) if sent.failed.len() + sent.offline.len() == clients.len() => Err(error.into()),
        _ => Ok(sent),
    }
}
