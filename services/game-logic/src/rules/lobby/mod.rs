//! The lobby of one game-logic server: its queues, the matches being formed, and its part in those of other lobbies.
//!
//! A value without I/O: it is told what happened and when, and collects [`Effect`]s for the shell. Promises, across all
//! lobbies that hear each other: no player is in two matches, and a ticket is in some queue until its player is matched,
//! told otherwise, or gone.
//!
//! Rosters may be stale and hand-overs repeated, so several lobbies may hold tickets of one player. Not the ticket but the
//! reservation keeps a player out of two matches: before a lobby forms a match it asks every other lobby. Of two lobbies the
//! newer one knows the older one, so at least one of them asks the other. The lobby that is asked protects the players it is
//! matching, and remembers its promises until it learns their outcome. A lobby that is gone cannot protect its players: then
//! all others are asked again, and the one that runs its matches knows. Matches, promises and connections are kept one by
//! one, and each ends only by news of itself, because news of different servers arrives in any order.
//!
//! If a lobby dies, its tickets are lost. So each ticket is announced to its player's ws-nodes ([`Effect::Waits`]), which tell the
//! player if this process is lost. A lobby that takes a ticket over announces it again.

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
    /// The modes that can be played; at least one. The first is the default.
    pub modes: Vec<Mode>,
    /// How far apart ratings may be.
    pub widening: Widening,
    /// Most tickets in one queue.
    pub queue_limit: usize,
    /// Most matches that this server runs.
    pub match_limit: usize,
    /// Longest time that a ticket may wait.
    pub longest_wait: Duration,
    /// Longest time that a match may take.
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

    /// The effects since the last call.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Every mode with the number of players that wait for it here, including those being matched.
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

    /// One round: forms matches in the queues that this server owns, and hands over the tickets of the others. To be called a few
    /// times a second.
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
                // This server does not count yet, or it stops and is the only one: tickets wait.
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
        let notice = self.notice(mode, ticket, reason);
        self.waits_no_more(&notice.mode, ticket);
        self.effects.push(Effect::Cancelled {
            client: ticket.client.clone(),
            notice,
        });
    }

    /// Announces a ticket that is here now to the ws-nodes of all its connections.
    fn waits(&mut self, mode: usize, ticket: &Ticket) {
        for connection in ticket.connections() {
            self.waits_at(mode, ticket, &connection.server);
        }
    }

    /// As [`Lobby::waits`], for one ws-node.
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

    /// A ticket has ended here: its announcements end.
    fn waits_no_more(&mut self, mode: &str, ticket: &Ticket) {
        self.effects.push(Effect::WaitsNoMore {
            client: ticket.client.clone(),
            mode: mode.to_owned(),
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
