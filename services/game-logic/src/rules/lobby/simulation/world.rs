//! The world of the simulation: lobbies, the messages between them, and an account of who waits and who plays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wsmesh_adapter::{ClientId, Instance, ServerName};

use super::super::*;
use super::action::MODES;
use crate::rules::players::{Busy, Player};

/// What one lobby sends to another, or a ws-node to all.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Reserve(Reservation),
    Release(FormationId),
    Start(Order),
    Withdraw(FormationId),
    HandOver(HandOver),
    Began(Began),
    Ended(MatchId),
    Leaving(ServerName, Instance),
    Closed(Player),
}

/// Sender, receiver and message.
pub(super) type InFlight = (ServerName, ServerName, Message);

/// All lobbies, the bus between them, and what must hold for their players.
#[derive(Default)]
pub(super) struct World {
    pub(super) now: Duration,
    instances: u64,
    pub(super) lobbies: BTreeMap<ServerName, Lobby>,
    pub(super) stopped: BTreeSet<ServerName>,
    pub(super) bus: Vec<InFlight>,
    /// Reservations: how many answers are due, and what was answered.
    reserving: BTreeMap<FormationId, (usize, Vec<Busy>)>,
    pub(super) running: BTreeMap<MatchId, (FormationId, BTreeSet<ClientId>)>,
    /// How often each client's connection was closed: it comes back through the next ws-node.
    pub(super) closed: BTreeMap<u8, usize>,
    /// What ws-nodes tell clients if a process dies: by ws-node, client and ticket.
    pub(super) wills: BTreeMap<(ServerName, ClientId, String), (Instance, Cancelled)>,
    /// The latest ticket of each client and mode that was neither matched nor cancelled.
    pub(super) waiting: BTreeMap<(ClientId, String), String>,
}

fn ws_node(number: usize) -> ServerName {
    ServerName::new(format!("ws-{number}")).expect("valid")
}

impl World {
    /// Two lobbies, and a clock that a ticket of any age fits on.
    pub(super) fn new() -> Self {
        let mut world = Self {
            now: Duration::from_secs(86_400),
            ..Self::default()
        };
        world.come();
        world.come();
        world
    }

    pub(super) fn player(&self, client: u8) -> Player {
        let server = ws_node(self.closed.get(&client).copied().unwrap_or_default());
        Player {
            client: ClientId::new(format!("c{client}")).expect("valid"),
            server,
        }
    }

    pub(super) fn come(&mut self) {
        self.instances += 1;
        let name = ServerName::new(format!("game-{}", self.instances)).expect("valid");
        let settings = Settings {
            modes: MODES
                .map(|(name, players)| Mode {
                    name: name.into(),
                    players,
                })
                .to_vec(),
            widening: Widening {
                start: 1_000,
                per_second: 1,
            },
            queue_limit: 100,
            match_limit: 3,
            longest_wait: Duration::from_secs(1_000_000),
            longest_match: Duration::from_secs(20),
        };
        self.lobbies.insert(
            name.clone(),
            Lobby::new(name.clone(), Instance(self.instances), settings),
        );
        self.see_roster(&name);
    }

    pub(super) fn see_roster(&mut self, at: &ServerName) {
        let ws_nodes = 0..=self.closed.values().copied().max().unwrap_or_default();
        let ws_node = |number| Server {
            name: ws_node(number),
            instance: Instance(999_999),
            plays: false,
        };
        let mut servers: Vec<_> = ws_nodes.map(ws_node).collect();
        for (name, lobby) in &self.lobbies {
            servers.push(Server {
                name: name.clone(),
                instance: lobby.instance,
                plays: true,
            });
        }
        let now = self.now;
        self.with(at, |lobby| lobby.roster(now, &servers));
    }

    pub(super) fn pick(&self, which: u8) -> ServerName {
        self.lobbies
            .keys()
            .nth(usize::from(which) % self.lobbies.len())
            .expect("never empty")
            .clone()
    }

    pub(super) fn with<T>(&mut self, at: &ServerName, act: impl FnOnce(&mut Lobby) -> T) -> T {
        let lobby = self.lobbies.get_mut(at).expect("alive");
        let result = act(lobby);
        for effect in lobby.take_effects() {
            self.perform(at, effect);
        }
        result
    }

    fn perform(&mut self, from: &ServerName, effect: Effect) {
        let mut send = |to: ServerName, message| self.bus.push((from.clone(), to, message));
        match effect {
            Effect::Reserve {
                servers, reservation, ..
            } => {
                self.reserving
                    .insert(reservation.formation.clone(), (servers.len(), Vec::new()));
                servers
                    .into_iter()
                    .for_each(|to| send(to, Message::Reserve(reservation.clone())));
            }
            Effect::Release { servers, formation } => {
                servers
                    .into_iter()
                    .for_each(|to| send(to, Message::Release(formation.clone())));
            }
            Effect::Start { host, order } => send(host, Message::Start(order)),
            // A match that is being withdrawn does not count.
            Effect::Withdraw { host, formation } => {
                self.running.retain(|_, (of, _)| *of != formation);
                self.bus.push((from.clone(), host, Message::Withdraw(formation)));
            }
            Effect::HandOver { to, tickets } => send(to, Message::HandOver(tickets)),
            Effect::Cancelled { client, notice } => drop(self.waiting.remove(&(client, notice.mode))),
            Effect::Left { client, id } => {
                if let Some((_, clients)) = self.running.get_mut(&id) {
                    clients.remove(&client);
                }
            }
            Effect::Lost { id } => assert!(!self.running.contains_key(&id), "{id} runs, but was lost"),
            Effect::Waits { player, notice } => {
                let key = (player.server, player.client, notice.ticket.clone());
                let instance = self.lobbies[from].instance;
                self.wills.insert(key, (instance, notice));
            }
            Effect::WaitsNoMore {
                client,
                ticket,
                servers,
                ..
            } => servers.into_iter().for_each(|server| {
                self.wills.remove(&(server, client.clone(), ticket.clone()));
            }),
            Effect::Matched { .. } => {}
        }
    }

    pub(super) fn tell_all(&mut self, from: &ServerName, message: &Message) {
        for to in self.lobbies.keys().filter(|to| *to != from) {
            self.bus.push((from.clone(), to.clone(), message.clone()));
        }
    }

    pub(super) fn request(&mut self, client: u8, at: &ServerName, mode: &str) {
        let (now, player) = (self.now, self.player(client));
        let wish = Wish {
            mode: Some(mode.into()),
            rating: 1_000,
            party: None,
        };
        let answer = match self.with(at, |lobby| lobby.request(now, player.clone(), wish.clone())) {
            Ok(Answer::Ask(owner)) => {
                // If the owner cannot be reached or is stopping, the ticket waits here.
                let there = self.lobbies.contains_key(&owner).then(|| {
                    self.with(&owner, |lobby| {
                        lobby.forwarded_request(now, player.clone(), wish.clone())
                    })
                });
                match there {
                    None | Some(Err(Refusal::Stopping)) => {
                        self.with(at, |lobby| lobby.forwarded_request(now, player.clone(), wish))
                    }
                    Some(answer) => answer,
                }
            }
            Ok(Answer::Now(place)) => Ok(place),
            Err(refusal) => Err(refusal),
        };
        if let Ok(place) = answer {
            self.waiting.insert((player.client, mode.to_owned()), place.ticket);
        }
    }

    /// Delivers one message: the oldest between its sender and its receiver.
    pub(super) fn deliver(&mut self, which: usize, reply_lost: bool) {
        if self.bus.is_empty() {
            return;
        }
        let (from, to) = (&self.bus[which % self.bus.len()].0, &self.bus[which % self.bus.len()].1);
        let oldest = self
            .bus
            .iter()
            .position(|(f, t, _)| f == from && t == to)
            .expect("at least this one");
        let message = self.bus.remove(oldest);
        self.arrive(message, reply_lost);
    }

    pub(super) fn arrive(&mut self, (from, to, message): InFlight, reply_lost: bool) {
        let now = self.now;
        // A dead server receives no replies.
        let heard = self.lobbies.contains_key(&from);
        let alive = self.lobbies.contains_key(&to);
        match message {
            Message::Reserve(reservation) => {
                let busy = if alive {
                    self.with(&to, |lobby| lobby.reserve(now, &reservation))
                } else {
                    reservation.unsure()
                };
                let (due, all) = self.reserving.get_mut(&reservation.formation).expect("asked");
                *due -= 1;
                all.extend(busy);
                if *due == 0 {
                    let (_, busy) = self.reserving.remove(&reservation.formation).expect("asked");
                    if heard {
                        self.with(&from, |lobby| lobby.reserved(&reservation.formation, &busy));
                    }
                }
            }
            Message::Start(order) => {
                let outcome = if alive {
                    self.start(&to, &order)
                } else {
                    Started::Unknown
                };
                let outcome = if reply_lost { Started::Unknown } else { outcome };
                if heard {
                    self.with(&from, |lobby| lobby.started(now, &to, &order.formation, outcome));
                }
            }
            Message::HandOver(tickets) => {
                let taken = if alive {
                    self.with(&to, |lobby| lobby.adopt(now, tickets.clone()))
                } else {
                    Taken::default()
                };
                let taken = if reply_lost { Taken::default() } else { taken };
                if heard {
                    self.with(&from, |lobby| drop(lobby.handed_over(&tickets, &taken)));
                }
            }
            _ if !alive => {}
            Message::Release(formation) => self.with(&to, |lobby| lobby.release(&formation)),
            Message::Began(began) => self.with(&to, |lobby| lobby.began(now, &began)),
            Message::Ended(id) => self.with(&to, |lobby| lobby.ended(&id)),
            Message::Leaving(name, instance) => self.with(&to, |lobby| lobby.leaving(&name, instance)),
            Message::Closed(player) => self.with(&to, |lobby| drop(lobby.client_closed(now, &player))),
            Message::Withdraw(formation) => {
                if let Some(id) = self.lobbies[&to].hosted_for(&formation).cloned() {
                    self.end(&to, &id);
                }
            }
        }
    }

    fn start(&mut self, host: &ServerName, order: &Order) -> Started {
        let now = self.now;
        let id = match self.with(host, |lobby| lobby.host(now, order)) {
            Ok(id) => id,
            Err(outcome) => return outcome,
        };
        let clients: BTreeSet<ClientId> = order.players.iter().map(|player| player.client.clone()).collect();
        for (other, (_, playing)) in &self.running {
            assert!(
                playing.is_disjoint(&clients),
                "{id} and {other} have a player in common"
            );
        }
        self.waiting.retain(|(client, _), _| !clients.contains(client));
        for (player, ticket) in order.players.iter().zip(&order.tickets) {
            let key = (player.server.clone(), player.client.clone(), ticket.clone());
            self.wills.remove(&key);
        }
        self.running.insert(id.clone(), (order.formation.clone(), clients));
        let began = Began {
            id: id.clone(),
            formation: order.formation.clone(),
            players: order.players.clone(),
        };
        self.tell_all(host, &Message::Began(began));
        Started::Running { id }
    }

    pub(super) fn end(&mut self, host: &ServerName, id: &MatchId) {
        self.running.remove(id);
        self.with(host, |lobby| lobby.ended(id));
        self.tell_all(host, &Message::Ended(id.clone()));
    }
}
