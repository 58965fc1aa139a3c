//! A ticket: one player waits in one queue.
//!
//! Lobbies learn in any order where a player is connected and what it has left. So a ticket keeps every connection that is not known
//! to have ended. The player is gone when the last of them has ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, ServerName};

/// One player waits in the queue of one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its id, which the player knows; unique in the cluster.
    pub id: String,
    /// The player.
    pub client: ClientId,
    /// The connection through which the player asked last and is reached.
    pub at: Connection,
    /// Earlier connections that are not known to have ended.
    pub elsewhere: Vec<Connection>,
    /// How strong the player is.
    pub rating: i32,
    /// The party that must be in the same match.
    pub party: Option<Party>,
    /// When the player began to wait.
    pub since: Duration,
}

/// A connection through which a player asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The ws-node.
    pub server: ServerName,
    /// When the player last asked through it. A departure before that does not end this connection.
    pub asked: Duration,
}

impl Ticket {
    /// How long the player has waited.
    pub fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// Every connection that may still exist; the first one is to be used.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        std::iter::once(&self.at).chain(&self.elsewhere)
    }

    /// Its player asked again, through this ws-node.
    pub fn asked_again(&mut self, now: Duration, server: &ServerName) {
        self.learn(&Connection {
            server: server.clone(),
            asked: now,
        });
        if let Some(index) = self.elsewhere.iter().position(|other| other.server == *server) {
            std::mem::swap(&mut self.at, &mut self.elsewhere[index]);
        }
    }

    /// Adds what another copy, or another ticket of the same player, has: the longer waiting time and all connections.
    pub fn follow(&mut self, other: &Self) {
        self.since = self.since.min(other.since);
        other.connections().for_each(|connection| self.learn(connection));
    }

    fn learn(&mut self, seen: &Connection) {
        let mut known = std::iter::once(&mut self.at).chain(&mut self.elsewhere);
        match known.find(|known| known.server == seen.server) {
            Some(known) => known.asked = known.asked.max(seen.asked),
            None => self.elsewhere.push(seen.clone()),
        }
        self.elsewhere.sort_by_key(|connection| connection.asked);
        if let Some(latest) = self.elsewhere.last_mut()
            && latest.asked > self.at.asked
        {
            std::mem::swap(latest, &mut self.at);
        }
    }

    /// Drops connections that have ended. `false` if none is left: the player is gone.
    pub fn stays_without(&mut self, ended: impl Fn(&Connection) -> bool) -> bool {
        self.elsewhere.retain(|connection| !ended(connection));
        if !ended(&self.at) {
            return true;
        }
        self.elsewhere.sort_by_key(|connection| connection.asked);
        let before = self.elsewhere.pop();
        before.map(|before| self.at = before).is_some()
    }

    /// The ticket as it is sent to another server. Clocks differ, so durations are sent in place of times.
    pub fn handed(&self, now: Duration) -> HandedTicket {
        let HandedConnection { server, asked_ms } = self.at.handed(now);
        HandedTicket {
            id: self.id.clone(),
            client: self.client.clone(),
            server,
            asked_ms,
            elsewhere: self.elsewhere.iter().map(|other| other.handed(now)).collect(),
            rating: self.rating,
            party: self.party.clone(),
            waited_ms: self.waited(now).as_millis() as u64,
        }
    }
}

impl Connection {
    fn handed(&self, now: Duration) -> HandedConnection {
        HandedConnection {
            server: self.server.clone(),
            asked_ms: now.saturating_sub(self.asked).as_millis() as u64,
        }
    }
}

/// Players who play together or not at all. Each of them asks with the same id and size. The party is matched once all have
/// asked, so no player gets into a match that it did not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Party {
    /// A text that only its members know.
    pub id: String,
    /// The number of its members.
    pub size: usize,
}

/// A ticket on its way to the new owner of its queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedTicket {
    /// As [`Ticket::id`].
    pub id: String,
    /// The player.
    pub client: ClientId,
    /// The ws-node through which the player asked last.
    pub server: ServerName,
    /// How long ago that was, in milliseconds.
    pub asked_ms: u64,
    /// As [`Ticket::elsewhere`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<HandedConnection>,
    /// How strong the player is.
    pub rating: i32,
    /// The party that must be in the same match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// How long the player has waited, in milliseconds.
    pub waited_ms: u64,
}

/// A [`Connection`] on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedConnection {
    /// The ws-node.
    pub server: ServerName,
    /// How long ago the player last asked through it, in milliseconds.
    pub asked_ms: u64,
}

impl HandedTicket {
    /// The ws-nodes of the ticket's connections.
    pub fn servers(&self) -> impl Iterator<Item = &ServerName> {
        std::iter::once(&self.server).chain(self.elsewhere.iter().map(|other| &other.server))
    }

    /// Whether this ws-node is one of the ticket's connections.
    pub fn knows(&self, server: &ServerName) -> bool {
        self.servers().any(|known| known == server)
    }

    /// The ticket on this server's clock.
    pub fn received(self, now: Duration) -> Ticket {
        let connection = |HandedConnection { server, asked_ms }| Connection {
            server,
            asked: now.saturating_sub(Duration::from_millis(asked_ms)),
        };
        Ticket {
            id: self.id,
            client: self.client,
            at: connection(HandedConnection {
                server: self.server,
                asked_ms: self.asked_ms,
            }),
            elsewhere: self.elsewhere.into_iter().map(connection).collect(),
            rating: self.rating,
            party: self.party,
            since: now.saturating_sub(Duration::from_millis(self.waited_ms)),
        }
    }
}
