//! Effects, which a lobby asks the shell to carry out, and the values that travel between lobbies.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, MAX_NAME_BYTES, ServerName};

use crate::rules::matches::MatchId;
use crate::rules::matchmaking::{HandedTicket, Party};
use crate::rules::players::{Busy, FormationId, Player};

/// Something for the shell to do. Where a variant says so, the shell reports the result to the lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask these servers whether the players are free; report to [`Lobby::reserved`](super::Lobby::reserved).
    Reserve {
        /// Every other game-logic server.
        servers: Vec<ServerName>,
        /// What the players are to play.
        mode: String,
        /// The request.
        reservation: Reservation,
    },
    /// Tell these servers that a formation was given up.
    Release {
        /// Every other game-logic server.
        servers: Vec<ServerName>,
        /// The formation.
        formation: FormationId,
    },
    /// Ask a server (perhaps this one) to run a match; report to [`Lobby::started`](super::Lobby::started).
    Start {
        /// The server that should run it.
        host: ServerName,
        /// The request.
        order: Order,
    },
    /// Tell a server that did not answer in time not to run a match.
    Withdraw {
        /// The server that was asked.
        host: ServerName,
        /// The formation.
        formation: FormationId,
    },
    /// Hand tickets over to the owner of their queue; report to [`Lobby::handed_over`](super::Lobby::handed_over).
    HandOver {
        /// The owner.
        to: ServerName,
        /// The tickets.
        tickets: HandOver,
    },
    /// A player waits here. If this server is lost, the player's ws-node tells the player. A later announcement of the same
    /// ticket, by this server or by another one, replaces this one.
    Waits {
        /// The player and its ws-node.
        player: Player,
        /// What the ws-node tells the player then.
        notice: Cancelled,
    },
    /// A ticket has ended, and no other lobby has it: its loss is not announced any more.
    WaitsNoMore {
        /// The player.
        client: ClientId,
        /// The mode of its queue.
        mode: String,
        /// The ticket.
        ticket: String,
        /// The ws-nodes that may have an announcement of it.
        servers: Vec<ServerName>,
    },
    /// Tell a player that its ticket is no longer valid.
    Cancelled {
        /// The player.
        client: ClientId,
        /// What the player is told.
        notice: Cancelled,
    },
    /// A player has left a match that this server runs.
    Left {
        /// The player.
        client: ClientId,
        /// The match.
        id: MatchId,
    },
    /// The server that ran a match is lost, and the match with it; tell its players.
    Lost {
        /// The match.
        id: MatchId,
    },
    /// Players of a mode found a match.
    Matched {
        /// The mode.
        mode: String,
        /// How long each player waited.
        waited: Vec<Duration>,
    },
}

/// Asks whether these players are free. If all are, they are kept for this formation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The formation that needs them.
    pub formation: FormationId,
    /// The players.
    pub clients: Vec<ClientId>,
}

impl Reservation {
    /// The answer to assume for a server that is gone. The other servers relied on it to protect its players, and a match of
    /// those may have begun since. If they are asked again without it, they know.
    pub fn unsure(&self) -> Vec<Busy> {
        let unsure = |client: &ClientId| Busy {
            client: client.clone(),
            playing: false,
        };
        self.clients.iter().map(unsure).collect()
    }
}

/// Asks a server to run a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The formation that becomes the match.
    pub formation: FormationId,
    /// What is played.
    pub mode: String,
    /// The players, in the order of their seats.
    pub players: Vec<Player>,
    /// Their tickets, in the same order. They end once the match runs, even if the server that had them is lost.
    #[serde(default)]
    pub tickets: Vec<String>,
}

/// The result of an [`Order`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Started {
    /// The match runs, and its players know it.
    Running {
        /// Its id.
        id: MatchId,
    },
    /// Some players are gone or play elsewhere; the others still want to play.
    Without {
        /// Players whose connections are gone.
        gone: Vec<ClientId>,
        /// Players that are not free.
        busy: Vec<Busy>,
    },
    /// The server does not take more matches now.
    Refused,
    /// The server did not answer, so it is not known whether the match runs.
    Unknown,
}

/// Tickets for the new owner of their queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The mode of the queue.
    pub mode: String,
    /// At most [`HAND_OVER_BATCH`](super::HAND_OVER_BATCH) tickets.
    pub tickets: Vec<HandedTicket>,
}

/// The tickets that the new owner took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Their ids; the former owner may drop these tickets.
    pub taken: Vec<String>,
}

/// A match began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The match.
    #[serde(rename = "match")]
    pub id: MatchId,
    /// The formation that became the match.
    pub formation: FormationId,
    /// The players.
    pub players: Vec<Player>,
}

/// What a player is told when its ticket is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The ticket.
    pub ticket: String,
    /// The mode of its queue.
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
    /// Its player's connection could not be found when a match was about to start.
    Unreachable,
    /// No match was found within the time that a ticket may wait.
    Timeout,
    /// The server that had the ticket stopped, and no other took it over.
    ServerRestart,
    /// The server that had the ticket was lost, or it lost sight of the player's ws-node.
    ServerLost,
}

/// The wish of a player to play.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The mode; by default the first one that is configured.
    pub mode: Option<String>,
    /// How strong the player is.
    pub rating: i32,
    /// The party that it wants to play with.
    pub party: Option<Party>,
}

/// The answer to a player's wish: it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The ticket; the same one if the player asks again.
    pub ticket: String,
    /// The mode that is going to be played.
    pub mode: String,
    /// How many players a match has.
    pub players: usize,
    /// How many players wait in this queue, this one included.
    pub waiting: usize,
    /// How long this player has waited, in milliseconds.
    pub waited_ms: u64,
}

/// Which server answers a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This lobby, with this answer.
    Now(Place),
    /// The owner of the queue, which must be asked.
    Ask(ServerName),
}

/// Why a player cannot wait.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such mode.
    #[error("there is no mode {asked:?}: ask for {known}")]
    UnknownMode {
        /// The mode that was asked for.
        asked: String,
        /// The modes that exist.
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
    /// The player is in a match already.
    #[error("you are in match {0}: send matchLeave to leave it")]
    Playing(MatchId),
    /// The queue is full.
    #[error(transparent)]
    Full(#[from] crate::rules::matchmaking::QueueFull),
    /// This server is stopping, and there is no other.
    #[error("this server is being restarted: ask again in a few seconds")]
    Stopping,
}
