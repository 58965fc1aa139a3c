//! The queue of one mode: tickets by player.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use wsmesh_adapter::{ClientId, ServerName};

use super::departures::Departures;
use super::form::{self, Widening};
use super::ticket::{Connection, Ticket};

/// A mode of the game, with a queue of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The name by which players ask for it.
    pub name: String,
    /// How many players a match has.
    pub players: usize,
}

/// The queue holds as many tickets as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many players are waiting: try again later")]
pub struct QueueFull;

/// What happened to a ticket from another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// Its player waits here, with this ticket.
    Kept(Ticket),
    /// Its player has left: the ticket is not needed any more.
    Left,
    /// The queue is full: the other server must keep it.
    Refused,
}

/// Tickets of one mode, at most one per player.
#[derive(Debug)]
pub struct Queue {
    mode: Mode,
    widening: Widening,
    limit: usize,
    tickets: HashMap<ClientId, Ticket>,
    departures: Departures,
}

impl Queue {
    /// An empty queue for at most `limit` tickets.
    pub fn new(mode: Mode, widening: Widening, limit: usize) -> Self {
        Self {
            mode,
            widening,
            limit,
            tickets: HashMap::new(),
            departures: Departures::new(limit),
        }
    }

    /// The mode of this queue.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// How many tickets wait.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether no player waits.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// A player's ticket.
    pub fn ticket(&self, client: &ClientId) -> Option<&Ticket> {
        self.tickets.get(client)
    }

    /// Every ticket, in no order.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// Takes a ticket. A player that waits already keeps its ticket, which is returned.
    ///
    /// # Errors
    /// If the queue is full.
    pub fn enter(&mut self, ticket: Ticket) -> Result<&Ticket, QueueFull> {
        if !self.tickets.contains_key(&ticket.client) && self.tickets.len() >= self.limit {
            return Err(QueueFull);
        }
        Ok(self.keep(ticket))
    }

    /// A player that has a ticket keeps it; connections and waiting time of the other are added to it.
    fn keep(&mut self, ticket: Ticket) -> &Ticket {
        match self.tickets.entry(ticket.client.clone()) {
            Entry::Occupied(kept) => {
                let kept = kept.into_mut();
                kept.follow(&ticket);
                kept
            }
            Entry::Vacant(entry) => entry.insert(ticket),
        }
    }

    /// Takes over a ticket from another server, unless its player has left meanwhile. A player that has asked here again keeps its
    /// new ticket, and the time it waited there is added.
    pub fn adopt(&mut self, ticket: Ticket) -> Adopted {
        match self.still_here(ticket).map(|ticket| self.enter(ticket)) {
            None => Adopted::Left,
            Some(Ok(kept)) => Adopted::Kept(kept.clone()),
            Some(Err(QueueFull)) => Adopted::Refused,
        }
    }

    /// Takes back a ticket that was in the queue before, even if the queue is full now. Returns the ticket that its player has then;
    /// none if the player has left.
    pub fn put_back(&mut self, ticket: Ticket) -> Option<&Ticket> {
        self.still_here(ticket).map(|ticket| self.keep(ticket))
    }

    /// A ticket that was elsewhere for a while, without the connections that have ended since; `None` if its player has left.
    pub fn still_here(&self, mut ticket: Ticket) -> Option<Ticket> {
        let client = ticket.client.clone();
        let ended = |at: &Connection| self.departures.left_after(&client, &at.server, at.asked);
        ticket.stays_without(ended).then_some(ticket)
    }

    /// A player's connection to `server` has ended: the player leaves, unless it may be connected to another ws-node.
    pub fn leave(&mut self, now: Duration, client: &ClientId, server: &ServerName) -> Option<Ticket> {
        self.departures.note(now, client, Some(server));
        let stays = self.tickets.get_mut(client)?.stays_without(|at| at.server == *server);
        (!stays).then(|| self.tickets.remove(client)).flatten()
    }

    /// A player does not want to wait any more. This holds for all its connections.
    pub fn cancel(&mut self, now: Duration, client: &ClientId) -> Option<Ticket> {
        self.departures.note(now, client, None);
        self.tickets.remove(client)
    }

    /// A player that waits asked again, perhaps through another ws-node.
    pub fn asked_again(&mut self, now: Duration, client: &ClientId, server: &ServerName) {
        if let Some(ticket) = self.tickets.get_mut(client) {
            ticket.asked_again(now, server);
        }
    }

    /// Removes a ticket without remembering a departure of its player.
    pub fn remove(&mut self, client: &ClientId) -> Option<Ticket> {
        self.tickets.remove(client)
    }

    /// Removes and returns every ticket that has waited for `longest` or longer.
    pub fn expire(&mut self, now: Duration, longest: Duration) -> Vec<Ticket> {
        self.departures.expire(now);
        self.tickets
            .extract_if(|_, ticket| ticket.waited(now) >= longest)
            .map(|(_, ticket)| ticket)
            .collect()
    }

    /// Removes the players of at most `most` matches that can start now. The players who have waited longest come first.
    pub fn form(&mut self, now: Duration, most: usize) -> Vec<Vec<Ticket>> {
        if self.tickets.len() < self.mode.players {
            return Vec::new();
        }
        let waiting: Vec<Ticket> = self.tickets.values().cloned().collect();
        let formed = form::groups(waiting, self.mode.players, self.widening, now, most);
        for ticket in formed.iter().flatten() {
            self.tickets.remove(&ticket.client);
        }
        formed
    }
}
