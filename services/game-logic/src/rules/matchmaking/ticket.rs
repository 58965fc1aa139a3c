//! A ticket: one player's place in one queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, ServerName};

/// One player's place in the queue of one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What the player was told; unique in the cluster.
    pub id: String,
    /// The player.
    pub client: ClientId,
    /// The ws-node that has the player's connection.
    pub server: ServerName,
    /// How often the player came back through another ws-node: of two copies the one with more knows where it is.
    pub moves: u32,
    /// How strong the player is.
    pub rating: i32,
    /// Who must be in the same match.
    pub party: Option<Party>,
    /// When the player began to wait.
    pub since: Duration,
    /// When the player last asked: a departure before that is not one from this ticket.
    pub asked: Duration,
}

impl Ticket {
    /// How long the player has waited.
    pub fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// Its player asked again, through this ws-node.
    pub fn moved(&mut self, server: &ServerName) {
        if self.server != *server {
            self.server = server.clone();
            self.moves += 1;
        }
    }

    /// Another copy of it, or another ticket of the same player: the longer wait, the later wish, and the connection of the
    /// one that followed the player more often.
    pub fn follow(&mut self, other: &Self) {
        self.since = self.since.min(other.since);
        self.asked = self.asked.max(other.asked);
        if other.moves > self.moves {
            self.moves = other.moves;
            self.server = other.server.clone();
        }
    }

    /// The ticket as another server takes it over: clocks differ, so the time waited travels in place of the moment.
    pub fn handed(&self, now: Duration) -> HandedTicket {
        HandedTicket {
            id: self.id.clone(),
            client: self.client.clone(),
            server: self.server.clone(),
            moves: self.moves,
            rating: self.rating,
            party: self.party.clone(),
            waited_ms: self.waited(now).as_millis() as u64,
            asked_ms: now.saturating_sub(self.asked).as_millis() as u64,
        }
    }
}

/// Players who play together or not at all. Each of them asks with the same id and size; the party takes part once all
/// have asked, so nobody is brought into a match who did not want it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Party {
    /// A text that only its members know.
    pub id: String,
    /// How many they are.
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
    /// The ws-node that has the player's connection.
    pub server: ServerName,
    /// How often the player came back through another ws-node.
    #[serde(default)]
    pub moves: u32,
    /// How strong the player is.
    pub rating: i32,
    /// Who must be in the same match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// How long the player has waited, in milliseconds.
    pub waited_ms: u64,
    /// How long ago the player last asked, in milliseconds.
    pub asked_ms: u64,
}

impl HandedTicket {
    /// The ticket on this server's clock.
    pub fn received(self, now: Duration) -> Ticket {
        Ticket {
            id: self.id,
            client: self.client,
            server: self.server,
            moves: self.moves,
            rating: self.rating,
            party: self.party,
            since: now.saturating_sub(Duration::from_millis(self.waited_ms)),
            asked: now.saturating_sub(Duration::from_millis(self.asked_ms)),
        }
    }
}
