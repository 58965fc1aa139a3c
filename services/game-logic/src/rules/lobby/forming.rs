//! From tickets to a running match: the players are reserved on every server, then a host is asked to run the match.
//! If anything goes wrong, the tickets of players who still want to play go back to their queue and keep their waiting time.

use std::time::Duration;

use wsmesh_adapter::{ClientId, ServerName};

use super::{CancelReason, Effect, Lobby, Order, Reservation, Started};
use crate::rules::matches::MatchId;
use crate::rules::matchmaking::{Connection, Ticket};
use crate::rules::players::{Busy, FormationId, Player};

/// Most matches that are being formed at the same time. Beyond that, the queues wait.
const FORMATIONS: usize = 256;
/// How many servers are asked to run a match before its players go back to their queue.
const HOSTS: usize = 3;

/// Tickets on their way to a match.
#[derive(Debug)]
pub(super) struct Formation {
    pub(super) mode: String,
    pub(super) tickets: Vec<Ticket>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opened,
    Reserving,
    Starting { asked: usize },
}

impl Lobby {
    pub(super) fn form(&mut self, now: Duration, mode: usize) {
        let room = FORMATIONS.saturating_sub(self.formations.len());
        for tickets in self.queues[mode].form(now, room) {
            self.open(now, mode, tickets);
        }
    }

    fn open(&mut self, now: Duration, mode: usize, tickets: Vec<Ticket>) {
        let number = self.next_number();
        let id = FormationId::new(self.instance, number);
        let clients: Vec<ClientId> = tickets.iter().map(|ticket| ticket.client.clone()).collect();
        let name = self.queues[mode].mode().name.clone();
        self.formations.insert(
            id.clone(),
            Formation {
                mode: name.clone(),
                tickets,
                stage: Stage::Opened,
            },
        );
        let busy = self.players.busy(now, &id, &clients);
        if !busy.is_empty() {
            return self.retry_without(&id, &[], &busy);
        }
        self.players.promise(now, &id, &clients);
        let servers = self.roster.others();
        if servers.is_empty() {
            return self.start(&id, 0);
        }
        if let Some(formation) = self.formations.get_mut(&id) {
            formation.stage = Stage::Reserving;
        }
        self.effects.push(Effect::Reserve {
            servers,
            mode: name,
            reservation: Reservation { formation: id, clients },
        });
    }

    /// The other servers have answered a reservation; [`Reservation::unsure`] stands for those that are gone. Servers that only do
    /// not answer are left out: they hang, and form no matches either.
    pub fn reserved(&mut self, id: &FormationId, busy: &[Busy]) {
        let Some(formation) = self.formations.get(id) else {
            return;
        };
        let complete = self
            .mode(&formation.mode)
            .is_some_and(|mode| formation.tickets.len() == self.queues[mode].mode().players);
        // A match may have begun since this lobby checked its own players.
        let clients = formation.tickets.iter().map(|ticket| &ticket.client);
        let playing = clients.filter(|client| self.players.match_of(client).is_some());
        let playing = playing.map(|client| Busy {
            client: client.clone(),
            playing: true,
        });
        let busy: Vec<Busy> = busy.iter().cloned().chain(playing).collect();
        if busy.is_empty() && complete && !self.stopping {
            self.start(id, 0);
        } else {
            self.retry_without(id, &[], &busy);
        }
    }

    fn start(&mut self, id: &FormationId, asked: usize) {
        let hosts = self.roster.hosts(id.as_str()).into_iter();
        let host = hosts.take(HOSTS).nth(asked).cloned();
        let (Some(host), Some(formation)) = (host, self.formations.get_mut(id)) else {
            return self.dissolve(id);
        };
        formation.stage = Stage::Starting { asked };
        let player = |ticket: &Ticket| Player {
            client: ticket.client.clone(),
            server: ticket.at.server.clone(),
        };
        let order = Order {
            formation: id.clone(),
            mode: formation.mode.clone(),
            players: formation.tickets.iter().map(player).collect(),
            tickets: formation.tickets.iter().map(|ticket| ticket.id.clone()).collect(),
        };
        self.effects.push(Effect::Start { host, order });
    }

    /// The result of asking `host` to run the match.
    pub fn started(&mut self, now: Duration, host: &ServerName, id: &FormationId, outcome: Started) {
        let Some(Formation {
            stage: Stage::Starting { asked },
            ..
        }) = self.formations.get(id)
        else {
            return;
        };
        match outcome {
            Started::Running { id: match_id } => self.runs(now, id, &match_id),
            Started::Without { gone, busy } => self.retry_without(id, &gone, &busy),
            Started::Refused => {
                let next = asked + 1;
                self.start(id, next);
            }
            Started::Unknown => {
                self.effects.push(Effect::Withdraw {
                    host: host.clone(),
                    formation: id.clone(),
                });
                self.dissolve(id);
            }
        }
    }

    fn runs(&mut self, now: Duration, id: &FormationId, match_id: &MatchId) {
        let Some(formation) = self.formations.remove(id) else {
            return;
        };
        let player = |ticket: &Ticket| Player {
            client: ticket.client.clone(),
            server: ticket.at.server.clone(),
        };
        let players: Vec<Player> = formation.tickets.iter().map(player).collect();
        // A match that runs here is known already, and a player may have left it since.
        if match_id.host() != Some(self.instance) {
            self.players.play(now, id, match_id, &players);
        }
        for ticket in &formation.tickets {
            self.waits_no_more(&formation.mode, ticket);
        }
        self.drop_tickets(&players);
        let waited = formation.tickets.iter().map(|ticket| ticket.waited(now)).collect();
        self.effects.push(Effect::Matched {
            mode: formation.mode,
            waited,
        });
    }

    /// Dissolves a formation. Players who are gone or play elsewhere lose their tickets; the others keep waiting.
    fn retry_without(&mut self, id: &FormationId, gone: &[ClientId], busy: &[Busy]) {
        let Some(formation) = self.formations.get_mut(id) else {
            return;
        };
        let reason = |ticket: &Ticket| {
            if gone.contains(&ticket.client) {
                return Some(CancelReason::Unreachable);
            }
            let playing = busy.iter().any(|busy| busy.playing && busy.client == ticket.client);
            playing.then_some(CancelReason::InMatch)
        };
        let out: Vec<Ticket> = formation
            .tickets
            .extract_if(.., |ticket| reason(ticket).is_some())
            .collect();
        if let Some(mode) = self.queues.iter().position(|queue| queue.mode().name == formation.mode) {
            for ticket in out {
                let reason = reason(&ticket).unwrap_or(CancelReason::Unreachable);
                self.cancelled(mode, &ticket, reason);
            }
        }
        self.dissolve(id);
    }

    /// Gives a formation up: its tickets go back to the queue.
    pub(super) fn dissolve(&mut self, id: &FormationId) {
        let Some(formation) = self.formations.remove(id) else {
            return;
        };
        self.players.release(id);
        let asked_a_host = matches!(formation.stage, Stage::Starting { .. });
        if let Some(mode) = self.mode(&formation.mode) {
            for ticket in formation.tickets {
                let id = ticket.id.clone();
                match self.queues[mode].put_back(ticket.clone()).cloned() {
                    Some(kept) if kept.id == id => {
                        // The host may have ended the ticket's announcement already.
                        if asked_a_host {
                            self.waits(mode, &kept);
                        }
                    }
                    _ => self.waits_no_more(&formation.mode, &ticket),
                }
            }
        }
        let servers = self.roster.others();
        if !servers.is_empty() && formation.stage != Stage::Opened {
            self.effects.push(Effect::Release {
                servers,
                formation: id.clone(),
            });
        }
    }

    pub(super) fn own_formations_of(&self, clients: &[ClientId]) -> Vec<FormationId> {
        let has = |formation: &Formation| formation.tickets.iter().any(|ticket| clients.contains(&ticket.client));
        self.formations
            .iter()
            .filter(|(_, formation)| has(formation))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether no host has been asked yet to run the match.
    pub(super) fn is_undecided(&self, id: &FormationId) -> bool {
        self.formations
            .get(id)
            .is_some_and(|formation| !matches!(formation.stage, Stage::Starting { .. }))
    }

    /// The ticket of a player whose match is being formed. From now on the player is reached through the ws-node it asked last.
    pub(super) fn asked_again_in_formation(&mut self, now: Duration, mode: &str, player: &Player) -> Option<Ticket> {
        let formations = self.formations.values_mut().filter(|formation| formation.mode == mode);
        let mut tickets = formations.flat_map(|formation| &mut formation.tickets);
        let ticket = tickets.find(|ticket| ticket.client == player.client)?;
        ticket.asked_again(now, &player.server);
        Some(ticket.clone())
    }

    /// Ends connections of a player's tickets in formations. A ticket without connections is taken out, unless a host has been
    /// asked to run the match already.
    pub(super) fn leave_formations(
        &mut self,
        mode: &str,
        client: &ClientId,
        ended: impl Fn(&Connection) -> bool,
    ) -> Option<Ticket> {
        let formations = self.formations.values_mut().filter(|formation| formation.mode == mode);
        let mut taken = None;
        for formation in formations {
            let Some(index) = formation.tickets.iter().position(|ticket| ticket.client == *client) else {
                continue;
            };
            let decided = matches!(formation.stage, Stage::Starting { .. });
            if !formation.tickets[index].stays_without(&ended) && !decided {
                taken = Some(formation.tickets.remove(index));
            }
        }
        taken
    }
}
