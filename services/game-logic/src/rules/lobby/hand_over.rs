//! A queue has a new owner: its tickets are copied there, and dropped here once the new owner has confirmed that it took them.
//! Tickets that it did not take are offered again, to the owner at that time.

use std::time::Duration;

use wsmesh_adapter::{ClientId, ServerName};

use super::{Effect, HandOver, Lobby, Taken};
use crate::rules::matchmaking::{Adopted, Connection, Ticket};

/// Most tickets in one message.
pub const HAND_OVER_BATCH: usize = 200;

impl Lobby {
    pub(super) fn hand_over(&mut self, now: Duration, mode: usize, to: ServerName) {
        let queue = &self.queues[mode];
        let name = queue.mode().name.clone();
        if queue.is_empty() || self.handing.contains_key(&name) {
            return;
        }
        let tickets = queue
            .tickets()
            .take(HAND_OVER_BATCH)
            .map(|ticket| ticket.handed(now))
            .collect();
        self.handing.insert(name.clone(), now);
        self.effects.push(Effect::HandOver {
            to,
            tickets: HandOver { mode: name, tickets },
        });
    }

    /// The new owner has answered; it took nothing if it did not answer. Returns the players who do not wait here any more.
    pub fn handed_over(&mut self, sent: &HandOver, taken: &Taken) -> Vec<ClientId> {
        let since = self.handing.remove(&sent.mode);
        let (Some(since), Some(mode)) = (since, self.mode(&sent.mode)) else {
            return Vec::new();
        };
        let mut left = Vec::new();
        for ticket in sent.tickets.iter().filter(|ticket| taken.taken.contains(&ticket.id)) {
            // A ticket with another id is newer and was not taken. A ticket whose player has asked again since, or has a connection
            // that was not sent, is offered again: the new owner would lose it with the old connection.
            let was_sent = |at: &Connection| at.asked <= since && ticket.knows(&at.server);
            let is_unchanged = |kept: &Ticket| kept.id == ticket.id && kept.connections().all(was_sent);
            if self.queues[mode].ticket(&ticket.client).is_some_and(is_unchanged) {
                self.queues[mode].remove(&ticket.client);
                left.push(ticket.client.clone());
            }
        }
        left
    }

    /// Tickets from the former owner of a queue. Takes as many as there is room for; none while this server is stopping.
    pub fn adopt(&mut self, now: Duration, tickets: HandOver) -> Taken {
        let Some(mode) = self.mode(&tickets.mode).filter(|_| !self.stopping) else {
            return Taken::default();
        };
        let mut taken = Vec::new();
        for ticket in tickets.tickets {
            // The match of this player may have ended, and only the former owner knows. It keeps the ticket until both have the
            // same news.
            if self.players.match_of(&ticket.client).is_some() {
                continue;
            }
            let id = ticket.id.clone();
            let of_mode = self
                .formations
                .values_mut()
                .filter(|formation| formation.mode == tickets.mode);
            let mut forming = of_mode.flat_map(|formation| &mut formation.tickets);
            let ticket = ticket.received(now);
            // A player that is being matched here keeps the ticket that it has here.
            let kept = if let Some(known) = forming.find(|other| other.client == ticket.client) {
                if let Some(ticket) = self.queues[mode].still_here(ticket.clone()) {
                    known.follow(&ticket);
                }
                Adopted::Kept(known.clone())
            } else {
                self.queues[mode].adopt(ticket.clone())
            };
            match kept {
                Adopted::Refused => continue,
                Adopted::Kept(kept) => {
                    self.waits(mode, &kept);
                    if kept.id != id {
                        self.waits_no_more(&tickets.mode, &ticket);
                    }
                }
                Adopted::Left => self.waits_no_more(&tickets.mode, &ticket),
            }
            taken.push(id);
        }
        Taken { taken }
    }
}
