//! What a lobby asks the shell to do, and the values that travel between lobbies.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, MAX_NAME_BYTES, ServerName};

use crate::rules::matches::MatchId;
use crate::rules::matchmaking::{HandedTicket, Party};
use crate::rules::players::{Busy, FormationId, Player};

/// Something for the shell to do. What comes of it is told to the lobby where the variant says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask these servers whether the players are free; tell [`Lobby::reserved`](super::Lobby::reserved).
    Reserve {
        /// Every other game-logic server.
        servers: Vec<ServerName>,
        /// What is asked.
        reservation: Reservation,
    },
    /// Tell these servers that a formation came to nothing.
    Release {
        /// Every other game-logic server.
        servers: Vec<ServerName>,
        /// Which formation.
        formation: FormationId,
    },
    /// Ask a server (perhaps this one) to run a match; tell [`Lobby::started`](super::Lobby::started).
    Start {
        /// Who is to run it.
        host: ServerName,
        /// What is asked.
        order: Order,
    },
    /// Tell a server that did not answer in time not to run a match.
    Withdraw {
        /// Who was asked.
        host: ServerName,
        /// Which formation.
        formation: FormationId,
    },
    /// Hand tickets to the owner of their queue; tell [`Lobby::handed_over`](super::Lobby::handed_over).
    HandOver {
        /// The owner.
        to: ServerName,
        /// What is handed over.
        tickets: HandOver,
    },
    /// A player waits here: should this server be lost, the player's ws-node tells it so. Asked for again, it replaces what was
    /// asked for before, by this server or by another one that had the ticket.
    Waits {
        /// The player, and the ws-node that is to tell it.
        player: Player,
        /// What it is to be told then.
        notice: Cancelled,
    },
    /// A ticket is gone, and not because another lobby has it now: nobody is to be told of its loss.
    WaitsNoMore {
        /// The player.
        client: ClientId,
        /// The ticket.
        ticket: String,
        /// The ws-nodes that may have been asked to tell it.
        servers: Vec<ServerName>,
    },
    /// Tell a player that its ticket is no longer valid.
    Cancelled {
        /// The player.
        client: ClientId,
        /// What it is told.
        notice: Cancelled,
    },
    /// A player is gone from a match that this server runs.
    Left {
        /// Who.
        client: ClientId,
        /// Which match.
        id: MatchId,
    },
    /// A match was lost with the server that ran it; tell its players.
    Lost {
        /// Which match.
        id: MatchId,
    },
    /// Players of a mode found a match after waiting so long.
    Matched {
        /// The mode.
        mode: String,
        /// How long each of them waited.
        waited: Vec<Duration>,
    },
}

/// Are these players free? If they all are, keep them for this formation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For which formation.
    pub formation: FormationId,
    /// Whom.
    pub clients: Vec<ClientId>,
}

impl Reservation {
    /// What stands for the answer of a server that is gone: others answered while they relied on it to defend its
    /// players, and a match of theirs may have begun since. Asked again without it, they know.
    pub fn unsure(&self) -> Vec<Busy> {
        let unsure = |client: &ClientId| Busy {
            client: client.clone(),
            playing: false,
        };
        self.clients.iter().map(unsure).collect()
    }
}

/// Run a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// For which formation.
    pub formation: FormationId,
    /// What is played.
    pub mode: String,
    /// Who plays, in the order of their seats.
    pub players: Vec<Player>,
    /// Their tickets, in the same order: void once the match runs, whatever becomes of the server that had them.
    #[serde(default)]
    pub tickets: Vec<String>,
}

/// What came of an [`Order`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Started {
    /// The match runs, and its players were told.
    Running {
        /// Its id.
        id: MatchId,
    },
    /// These players are gone or play elsewhere; the others still want to play.
    Without {
        /// Their connections are gone.
        gone: Vec<ClientId>,
        /// They are not free.
        busy: Vec<Busy>,
    },
    /// The server takes no more matches now.
    Refused,
    /// Nobody knows: the server did not answer.
    Unknown,
}

/// Tickets for the new owner of their queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Whose queue.
    pub mode: String,
    /// At most [`HAND_OVER_BATCH`](super::HAND_OVER_BATCH) tickets.
    pub tickets: Vec<HandedTicket>,
}

/// Which tickets the new owner took: their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Ids of the tickets that the former owner may forget.
    pub taken: Vec<String>,
}

/// A match began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The match.
    #[serde(rename = "match")]
    pub id: MatchId,
    /// What became the match.
    pub formation: FormationId,
    /// Who plays.
    pub players: Vec<Player>,
}

/// What a player is told when its ticket is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The ticket.
    pub ticket: String,
    /// Whose queue it was for.
    pub mode: String,
    /// Why.
    pub reason: CancelReason,
}

/// Why a ticket is no longer valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// Its player is in a match already.
    InMatch,
    /// Its player's connection was not found when a match was about to start.
    Unreachable,
    /// No match was found in the longest time that a ticket may wait.
    Timeout,
    /// The server that had the ticket was stopped and no other took it.
    ServerRestart,
    /// The server that had the ticket vanished, or could not see the player's ws-node any more.
    ServerLost,
}

/// What a player asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The mode; the first one configured if none is named.
    pub mode: Option<String>,
    /// How strong the player is.
    pub rating: i32,
    /// With whom it wants to play.
    pub party: Option<Party>,
}

/// What a player who asked for a match is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The ticket; the same one when a player asks again.
    pub ticket: String,
    /// What will be played.
    pub mode: String,
    /// How many players a match has.
    pub players: usize,
    /// How many players wait in this queue, this one included.
    pub waiting: usize,
    /// How long this player has waited, in milliseconds.
    pub waited_ms: u64,
}

/// Who answers a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This lobby, so.
    Now(Place),
    /// The owner of the queue.
    Ask(ServerName),
}

/// Why a wish is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such mode.
    #[error("there is no mode {asked:?}: ask for {known}")]
    UnknownMode {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: String,
    },
    /// A party that can never play.
    #[error("a party of {mode:?} has an id of 1 to {MAX_NAME_BYTES} bytes and a size of 1 to {most}")]
    BadParty {
        /// The mode.
        mode: String,
        /// Players of a match.
        most: usize,
    },
    /// One match at a time.
    #[error("you are in match {0}: send matchLeave to leave it")]
    Playing(MatchId),
    /// The queue is full.
    #[error(transparent)]
    Full(#[from] crate::rules::matchmaking::QueueFull),
    /// This server is being stopped and there is no other.
    #[error("this server is being restarted: ask again in a few seconds")]
    Stopping,
}
