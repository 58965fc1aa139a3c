//! Messages to a room, to clients, to everyone. Nothing is awaited between the call and the adapter's publish, so that messages leave
//! in the order of the calls; where a client is must be known before.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use wsmesh_adapter::{Adapter, ClientId, Located, PublishError, Reach, Room, ServerName};

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

    /// Asks for the clients that one command names.
    ///
    /// # Errors
    /// When there are no ids or too many. Nobody is asked then.
    pub(crate) async fn of_ids(adapter: &Adapter, ids: &[ClientId]) -> Result<Self, Problem> {
        check_ids(ids)?;
        Ok(Self::of_all(adapter, &distinct(ids.to_vec())).await)
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

/// How many servers of a client got its message: where everyone said who has it, Redis may have counted more than have it.
fn told(reach: Reach, located: &Located) -> Option<usize> {
    servers(reach).map(|reached| match located.complete {
        true => reached.min(located.servers.len()),
        false => reached,
    })
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
    Ok(Outcome::AcceptedForClient(AcceptedForClient {
        accepted: true,
        servers: told(reach, &located),
        state: match located.servers.is_empty() {
            true => ClientState::Unknown,
            false => ClientState::Connected,
        },
    }))
}

/// Sends a message to several clients; some of them may be offline.
///
/// # Errors
/// When there are no ids or too many, all of them are offline, or the message was sent to none of them.
pub(crate) async fn to_clients(
    adapter: &Adapter,
    clients: Vec<ClientId>,
    message: &Message,
    whereabouts: &Whereabouts,
) -> Result<AcceptedForClients, Problem> {
    check_ids(&clients)?;
    let clients = distinct(clients);
    let frame = message.frame();
    let sending = clients.iter().map(async |client| {
        let located = whereabouts.of_one(client);
        if is_nowhere(&located) {
            return (located, Ok(Reach::Servers(0)));
        }
        let reach = adapter.reach_client(client, frame.clone()).await;
        (located, reach)
    });
    let results = join_all(sending).await;
    let mut sums = Sums::default();
    for (client, (located, reach)) in clients.iter().zip(results) {
        sums.add(client, located, reach);
    }
    sums.end(&clients)
}

/// What came of the sends to several clients.
#[derive(Debug, Default)]
struct Sums {
    /// They have one of the clients.
    servers: HashSet<ServerName>,
    /// How often a server got the message, each time for one client.
    reached: usize,
    /// Whether it goes out later for some client, so that nobody knows how many servers get it.
    is_later: bool,
    offline: Vec<ClientId>,
    unknown: Vec<ClientId>,
    failed: Vec<ClientId>,
    refused: Option<Problem>,
}

impl Sums {
    fn add(&mut self, client: &ClientId, located: Located, reach: Result<Reach, PublishError>) {
        match reach {
            Ok(Reach::Servers(0)) => self.offline.push(client.clone()),
            Ok(reach) => {
                match reach {
                    Reach::Servers(servers) => self.reached += servers,
                    Reach::Later => self.is_later = true,
                }
                if located.servers.is_empty() {
                    self.unknown.push(client.clone());
                }
                self.servers.extend(located.servers);
            }
            Err(error) => {
                self.failed.push(client.clone());
                let problem = Problem::from(error);
                // One that may have gone out all the same says so for all.
                if self.refused.as_ref().is_none_or(Problem::is_untouched) {
                    self.refused = Some(problem);
                }
            }
        }
    }

    fn end(self, clients: &[ClientId]) -> Result<AcceptedForClients, Problem> {
        if self.offline.len() == clients.len() {
            return Err(Problem::all_offline(clients));
        }
        match self.refused {
            Some(problem) if self.failed.len() + self.offline.len() == clients.len() => Err(problem),
            _ => Ok(AcceptedForClients {
                accepted: true,
                servers: (!self.is_later).then_some(self.servers.len().min(self.reached)),
                offline: self.offline,
                unknown: self.unknown,
                failed: self.failed,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClientId {
        ClientId::new(text).expect("an id")
    }

    fn at(servers: &[&str], complete: bool) -> Located {
        let servers = servers.iter().map(|name| ServerName::new(*name).expect("a name"));
        Located {
            servers: servers.collect(),
            complete,
        }
    }

    fn sum(sends: Vec<(&str, Located, Result<Reach, PublishError>)>) -> Result<AcceptedForClients, Problem> {
        let clients: Vec<_> = sends.iter().map(|(client, ..)| id(client)).collect();
        let mut sums = Sums::default();
        for (client, located, reach) in sends {
            sums.add(&id(client), located, reach);
        }
        sums.end(&clients)
    }

    #[test]
    fn a_message_that_goes_out_later_has_reached_no_known_number_of_servers() {
        let sent = sum(vec![
            ("ann", at(&["ws-0"], true), Ok(Reach::Servers(1))),
            ("bob", at(&["ws-1"], true), Ok(Reach::Later)),
            ("cid", at(&[], false), Ok(Reach::Later)),
        ])
        .expect("accepted");
        assert_eq!((sent.servers, sent.unknown), (None, vec![id("cid")]));
        assert_eq!((sent.offline, sent.failed), (Vec::new(), Vec::new()));
    }

    #[test]
    fn no_more_servers_are_told_than_got_the_message() {
        let sent = sum(vec![
            ("ann", at(&["ws-0", "ws-1"], true), Ok(Reach::Servers(1))),
            ("bob", at(&["ws-0"], true), Ok(Reach::Servers(0))),
        ])
        .expect("accepted");
        assert_eq!((sent.servers, sent.offline), (Some(1), vec![id("bob")]));
        assert_eq!(told(Reach::Servers(1), &at(&["ws-0", "ws-1"], true)), Some(1));
        assert_eq!(told(Reach::Servers(5), &at(&["ws-0"], true)), Some(1));
        assert_eq!(told(Reach::Servers(2), &at(&["ws-0"], false)), Some(2));
        assert_eq!(told(Reach::Later, &at(&["ws-0"], true)), None);
    }

    #[test]
    fn if_no_client_got_it_the_reason_is_the_one_that_leaves_most_open() {
        let refused = || {
            Err(PublishError::Refused {
                node: "redis-0".to_owned(),
                problem: "gone".to_owned(),
            })
        };
        let problem = sum(vec![
            ("ann", at(&[], false), Err(PublishError::NoRoom)),
            ("bob", at(&[], false), refused()),
            ("cid", at(&[], false), Err(PublishError::NoRoom)),
        ])
        .expect_err("rejected");
        assert!(!problem.is_untouched(), "{problem:?}");
        let problem = sum(vec![("ann", at(&[], false), Err(PublishError::NoRoom))]).expect_err("rejected");
        assert!(problem.is_untouched());
        let sent = sum(vec![
            ("ann", at(&[], false), refused()),
            ("bob", at(&["ws-0"], true), Ok(Reach::Servers(1))),
        ]);
        assert_eq!(sent.expect("accepted").failed, [id("ann")]);
    }
}
