//! A lobby's part in the matches of others: it says which players are free, hosts matches, and keeps account of all matches.

use std::time::Duration;

use wsmesh_adapter::ClientId;

use super::{Began, CancelReason, Lobby, Order, Reservation, Started};
use crate::rules::matches::MatchId;
use crate::rules::players::{Busy, FormationId, Player};

impl Lobby {
    /// Another server wants these players for a match. Returns those that are not free.
    ///
    /// If two servers want the same player at the same time, the one with the smaller formation id gets it; the other gives up
    /// if it has not asked for a host yet. A promise made to a third server is for that server to protect.
    pub fn reserve(&mut self, now: Duration, reservation: &Reservation) -> Vec<Busy> {
        let Reservation { formation, clients } = reservation;
        let wanted: Vec<FormationId> = self.own_formations_of(clients);
        for own in wanted
            .iter()
            .filter(|own| *own > formation && self.is_undecided(own))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.dissolve(&own);
        }
        let kept = self.formations.values().flat_map(|formation| &formation.tickets);
        let kept = kept.filter(|ticket| clients.contains(&ticket.client));
        let promised = kept.map(|ticket| Busy {
            client: ticket.client.clone(),
            playing: false,
        });
        let playing = clients.iter().filter(|client| self.players.match_of(client).is_some());
        let playing = playing.map(|client| Busy {
            client: client.clone(),
            playing: true,
        });
        let busy: Vec<Busy> = promised.chain(playing).collect();
        if busy.is_empty() {
            self.players.promise(now, formation, clients);
        }
        busy
    }

    /// Another server has given a formation up.
    pub fn release(&mut self, formation: &FormationId) {
        self.players.release(formation);
    }

    /// Takes on a match. Its players are busy from now on.
    ///
    /// # Errors
    /// The answer if the match cannot run here.
    pub fn host(&mut self, now: Duration, order: &Order) -> Result<MatchId, Started> {
        if self.stopping || self.hosted.len() >= self.settings.match_limit || order.players.is_empty() {
            return Err(Started::Refused);
        }
        let clients: Vec<ClientId> = order.players.iter().map(|player| player.client.clone()).collect();
        let mut busy = self.players.busy(now, &order.formation, &clients);
        // Promises matter only while a match is being formed. This one has been formed.
        busy.retain(|busy| busy.playing);
        if !busy.is_empty() {
            return Err(Started::Without { gone: Vec::new(), busy });
        }
        let number = self.next_number();
        let id = MatchId::new(self.instance, number);
        self.hosted.insert(id.clone(), order.formation.clone());
        self.players.play(now, &order.formation, &id, &order.players);
        self.drop_tickets(&order.players);
        Ok(id)
    }

    /// The match that runs here because of a formation.
    pub fn hosted_for(&self, formation: &FormationId) -> Option<&MatchId> {
        self.hosted.iter().find(|(_, of)| *of == formation).map(|(id, _)| id)
    }

    /// A match, here or elsewhere, ended.
    pub fn ended(&mut self, id: &MatchId) {
        self.hosted.remove(id);
        self.players.ended(id);
    }

    /// A match began elsewhere: its players do not wait for another one.
    pub fn began(&mut self, now: Duration, began: &Began) {
        if began.id.host() != Some(self.instance) {
            self.players.play(now, &began.formation, &began.id, &began.players);
            self.drop_tickets(&began.players);
        }
    }

    /// A player left a match, here or elsewhere.
    pub fn left(&mut self, client: &ClientId, id: &MatchId) {
        self.players.leave(client, id);
    }

    /// Ends the tickets of players who are in a match now, and tells them.
    pub(super) fn drop_tickets(&mut self, players: &[Player]) {
        for mode in 0..self.queues.len() {
            for player in players {
                if let Some(ticket) = self.queues[mode].remove(&player.client) {
                    self.cancelled(mode, &ticket, CancelReason::InMatch);
                }
            }
        }
    }
}
