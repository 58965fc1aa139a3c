//! Requests of players: to play, to stop waiting. And what happens when their connections end.

use std::time::Duration;

use wsmesh_adapter::{ClientId, MAX_NAME_BYTES, ServerName};

use super::{Answer, CancelReason, Effect, Lobby, Place, Refusal, Wish};
use crate::rules::matches::MatchId;
use crate::rules::matchmaking::{Connection, Party, Ticket};
use crate::rules::players::Player;

impl Lobby {
    /// A player wants to play. The owner of the queue answers; any other lobby names the owner.
    ///
    /// # Errors
    /// Why the player cannot wait.
    pub fn request(&mut self, now: Duration, player: Player, wish: Wish) -> Result<Answer, Refusal> {
        let mode = self.check(&player, &wish)?;
        match self.roster.owner(&self.queues[mode].mode().name) {
            Some(owner) if owner != self.roster.me() => return Ok(Answer::Ask(owner.clone())),
            None if self.stopping => return Err(Refusal::Stopping),
            // This server is the owner, or does not count yet: then the ticket is handed over as soon as there is an owner.
            _ => {}
        }
        self.enter(now, mode, player, wish).map(Answer::Now)
    }

    /// As [`Lobby::request`], forwarded by a server that believes this one to be the owner. If it is not the owner, the ticket is
    /// handed over later: forwarding it again could go in circles.
    ///
    /// # Errors
    /// Why the player cannot wait.
    pub fn forwarded_request(&mut self, now: Duration, player: Player, wish: Wish) -> Result<Place, Refusal> {
        let mode = self.check(&player, &wish)?;
        if self.stopping {
            return Err(Refusal::Stopping);
        }
        self.enter(now, mode, player, wish)
    }

    fn check(&self, player: &Player, wish: &Wish) -> Result<usize, Refusal> {
        let mode = match &wish.mode {
            None => 0,
            Some(name) => self.known_mode(name)?,
        };
        let most = self.queues[mode].mode().players;
        if let Some(Party { id, size }) = &wish.party
            && (id.is_empty() || id.len() > MAX_NAME_BYTES || !(1..=most).contains(size))
        {
            return Err(Refusal::BadParty {
                mode: self.queues[mode].mode().name.clone(),
                most,
            });
        }
        match self.players.match_of(&player.client) {
            Some(id) => Err(Refusal::Playing(id.clone())),
            None => Ok(mode),
        }
    }

    fn known_mode(&self, name: &str) -> Result<usize, Refusal> {
        self.mode(name).ok_or_else(|| {
            let known: Vec<_> = self.queues.iter().map(|queue| queue.mode().name.as_str()).collect();
            Refusal::UnknownMode {
                asked: name.chars().take(64).collect(),
                known: known.join(", "),
            }
        })
    }

    fn enter(&mut self, now: Duration, mode: usize, player: Player, wish: Wish) -> Result<Place, Refusal> {
        let name = self.queues[mode].mode().name.clone();
        // A player that came back through another ws-node keeps waiting, and is reached there.
        self.queues[mode].asked_again(now, &player.client, &player.server);
        let server = player.server.clone();
        let ticket = match self.asked_again_in_formation(now, &name, &player) {
            Some(ticket) => ticket,
            None => {
                let number = self.next_number();
                let ticket = Ticket {
                    id: format!("{:x}.{number:x}", self.instance.0),
                    client: player.client,
                    at: Connection {
                        server: player.server,
                        asked: now,
                    },
                    elsewhere: Vec::new(),
                    rating: wish.rating,
                    party: wish.party,
                    since: now,
                };
                self.queues[mode].enter(ticket)?.clone()
            }
        };
        self.waits_at(mode, &ticket, &server);
        Ok(Place {
            waited_ms: ticket.waited(now).as_millis() as u64,
            ticket: ticket.id,
            mode: name,
            players: self.queues[mode].mode().players,
            waiting: self.queues[mode].len(),
        })
    }

    /// The other servers to ask when a player's tickets are cancelled: the owners of the queues.
    ///
    /// # Errors
    /// If there is no such mode.
    pub fn owners(&self, mode: Option<&str>) -> Result<Vec<ServerName>, Refusal> {
        if let Some(name) = mode {
            self.known_mode(name)?;
        }
        let queues = self.queues.iter().map(|queue| queue.mode().name.as_str());
        let owners = queues
            .filter(|name| mode.is_none_or(|mode| mode == *name))
            .filter_map(|name| self.roster.owner(name));
        let mut owners: Vec<_> = owners.filter(|owner| *owner != self.roster.me()).cloned().collect();
        owners.sort();
        owners.dedup();
        Ok(owners)
    }

    /// A player does not want to wait any more, for one mode or for all. Returns how many tickets were cancelled here.
    pub fn cancel(&mut self, now: Duration, player: &Player, mode: Option<&str>) -> usize {
        let mut cancelled = 0;
        for index in 0..self.queues.len() {
            let name = self.queues[index].mode().name.clone();
            if mode.is_none_or(|mode| mode == name) {
                let forming = self.leave_formations(&name, &player.client, |_| true);
                let waiting = self.queues[index].cancel(now, &player.client);
                cancelled += usize::from(forming.is_some() || waiting.is_some());
                for ticket in forming.iter().chain(&waiting) {
                    self.waits_no_more(&name, ticket);
                }
            }
        }
        cancelled
    }

    /// A player's connection has ended: the player leaves its queues, and its match if that runs here. A player that came back
    /// through another ws-node stays. Returns the modes that the player does not wait for any more.
    pub fn client_closed(&mut self, now: Duration, player: &Player) -> Vec<String> {
        let ended = self.connection_ended(now, player).into_iter();
        ended.map(|(index, _)| self.queues[index].mode().name.clone()).collect()
    }

    /// Returns the tickets that ended with a player's connection, with the index of their mode.
    fn connection_ended(&mut self, now: Duration, player: &Player) -> Vec<(usize, Ticket)> {
        let mut ended = Vec::new();
        for index in 0..self.queues.len() {
            let name = self.queues[index].mode().name.clone();
            let forming = self.leave_formations(&name, &player.client, |at| at.server == player.server);
            let waiting = self.queues[index].leave(now, &player.client, &player.server);
            ended.extend(forming.into_iter().chain(waiting).map(|ticket| (index, ticket)));
        }
        for id in self.players.closed(&player.client, &player.server) {
            self.left_hosted(player.client.clone(), id);
        }
        ended
    }

    /// The match that a player is in, as far as this server knows; of several, the latest.
    pub fn match_of(&self, client: &ClientId) -> Option<&MatchId> {
        self.players.match_of(client)
    }

    /// Whether a player is in this match, as far as this server knows.
    pub fn plays(&self, client: &ClientId, id: &MatchId) -> bool {
        self.players.plays(client, id)
    }

    pub(super) fn server_gone(&mut self, now: Duration, server: &ServerName) {
        let waiting = self.queues.iter().flat_map(|queue| queue.tickets());
        let forming = self.formations.values().flat_map(|formation| &formation.tickets);
        let waiting = waiting
            .chain(forming)
            .filter(|ticket| ticket.connections().any(|at| at.server == *server));
        let mut gone: Vec<ClientId> = waiting.map(|ticket| ticket.client.clone()).collect();
        gone.extend(self.players.on_server(server));
        gone.sort();
        gone.dedup();
        for client in gone {
            let player = Player {
                client,
                server: server.clone(),
            };
            for (mode, ticket) in self.connection_ended(now, &player) {
                self.cancelled(mode, &ticket, CancelReason::ServerLost);
            }
        }
    }

    fn left_hosted(&mut self, client: ClientId, id: MatchId) {
        if self.hosted.contains_key(&id) {
            self.effects.push(Effect::Left { client, id });
        }
    }
}
