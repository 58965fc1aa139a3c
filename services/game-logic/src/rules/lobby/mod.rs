//! The lobby of one game-logic server: its queues, the matches being formed, and its part in those of other lobbies.
//!
//! A value without I/O: it is told what happened and when, and collects [`Effect`]s for the shell. Promises, across all
//! lobbies that hear each other: nobody is put into two matches, and a ticket is in some queue until its player is
//! matched, told otherwise, or gone.
//!
//! Rosters may be stale and hand-overs repeated, so several lobbies may hold tickets of one player. What keeps it out of
//! two matches is not the ticket but the reservation: whoever forms a match asks every other lobby first. Of two lobbies
//! the younger knows the elder, so one of them asks the other, which defends the players it is matching and remembers what
//! it promised until it hears what became of that. A lobby that is gone cannot defend anybody: then all are asked again,
//! and whoever runs its matches knows. Matches, promises and connections are kept one by one, and each ends by news of
//! itself alone, because news of different servers comes in any order.
//!
//! A lobby that dies takes its tickets with it. So each ticket is announced to its player's ws-nodes ([`Effect::Waits`]), which tell
//! the player should this process be lost; a lobby that takes a ticket over announces it anew.

mod effect;
mod forming;
mod hand_over;
mod hosting;
mod requests;
mod roster;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wsmesh_adapter::{Instance, ServerName};

use super::matches::MatchId;
use super::matchmaking::{Mode, Queue, Ticket, Widening};
use super::players::{FormationId, Player, Players};

pub use effect::*;
use forming::Formation;
pub use hand_over::HAND_OVER_BATCH;
use roster::Roster;
pub use roster::Server;

/// The rules that a lobby goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What can be played; at least one. The first is played by those who do not say what they want.
    pub modes: Vec<Mode>,
    /// How far apart ratings may be.
    pub widening: Widening,
    /// Most tickets in one queue.
    pub queue_limit: usize,
    /// Most matches that this server runs.
    pub match_limit: usize,
    /// Longest time that a ticket waits.
    pub longest_wait: Duration,
    /// Longest time that a match takes.
    pub longest_match: Duration,
}

/// One server's lobby.
#[derive(Debug)]
pub struct Lobby {
    instance: Instance,
    settings: Settings,
    queues: Vec<Queue>,
    players: Players,
    roster: Roster,
    formations: BTreeMap<FormationId, Formation>,
    /// Matches that run here, and the formations that they came from.
    hosted: HashMap<MatchId, FormationId>,
    /// Modes whose tickets are on their way to another server, and since when.
    handing: HashMap<String, Duration>,
    numbers: u64,
    stopping: bool,
    effects: Vec<Effect>,
}

impl Lobby {
    /// An empty lobby that knows no other server.
    pub fn new(me: ServerName, instance: Instance, settings: Settings) -> Self {
        let queue = |mode: &Mode| Queue::new(mode.clone(), settings.widening, settings.queue_limit);
        Self {
            instance,
            queues: settings.modes.iter().map(queue).collect(),
            players: Players::new(settings.longest_match),
            roster: Roster::new(me),
            formations: BTreeMap::new(),
            hosted: HashMap::new(),
            handing: HashMap::new(),
            numbers: 0,
            stopping: false,
            effects: Vec::new(),
            settings,
        }
    }

    /// What there is to do since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Every mode and how many players wait for it here, those being matched included.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        self.queues.iter().map(|queue| {
            let forming = self
                .formations
                .values()
                .filter(|formation| formation.mode == queue.mode().name);
            let forming: usize = forming.map(|formation| formation.tickets.len()).sum();
            (queue.mode().name.as_str(), queue.len() + forming)
        })
    }

    /// How many matches are being formed here.
    pub fn forming(&self) -> usize {
        self.formations.len()
    }

    /// How many matches run here.
    pub fn hosted(&self) -> usize {
        self.hosted.len()
    }

    /// One round: matches are formed in the queues that this server owns, tickets of the others handed over. To be
    /// called a few times a second.
    pub fn round(&mut self, now: Duration) {
        self.players.expire(now);
        self.expire_tickets(now);
        for mode in 0..self.queues.len() {
            match self.roster.owner(&self.queues[mode].mode().name) {
                Some(owner) if owner == self.roster.me() => self.form(now, mode),
                Some(owner) => {
                    let owner = owner.clone();
                    self.hand_over(now, mode, owner);
                }
                // Not counted yet, or stopping and alone: tickets wait.
                None => {}
            }
        }
    }

    fn expire_tickets(&mut self, now: Duration) {
        for mode in 0..self.queues.len() {
            for ticket in self.queues[mode].expire(now, self.settings.longest_wait) {
                self.cancelled(mode, &ticket, CancelReason::Timeout);
            }
        }
    }

    fn cancelled(&mut self, mode: usize, ticket: &Ticket, reason: CancelReason) {
        self.waits_no_more(ticket);
        self.effects.push(Effect::Cancelled {
            client: ticket.client.clone(),
            notice: self.notice(mode, ticket, reason),
        });
    }

    /// A ticket is here now, reached through all its connections.
    fn waits(&mut self, mode: usize, ticket: &Ticket) {
        for connection in ticket.connections() {
            self.waits_at(mode, ticket, &connection.server);
        }
    }

    /// As [`Lobby::waits`], through one ws-node.
    fn waits_at(&mut self, mode: usize, ticket: &Ticket, server: &ServerName) {
        let player = Player {
            client: ticket.client.clone(),
            server: server.clone(),
        };
        self.effects.push(Effect::Waits {
            player,
            notice: self.notice(mode, ticket, CancelReason::ServerLost),
        });
    }

    /// A ticket ended here.
    fn waits_no_more(&mut self, ticket: &Ticket) {
        self.effects.push(Effect::WaitsNoMore {
            client: ticket.client.clone(),
            ticket: ticket.id.clone(),
            servers: ticket.connections().map(|at| at.server.clone()).collect(),
        });
    }

    fn notice(&self, mode: usize, ticket: &Ticket, reason: CancelReason) -> Cancelled {
        Cancelled {
            ticket: ticket.id.clone(),
            mode: self.queues[mode].mode().name.clone(),
            reason,
        }
    }

    fn mode(&self, name: &str) -> Option<usize> {
        self.queues.iter().position(|queue| queue.mode().name == name)
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
