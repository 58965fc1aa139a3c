//! Several lobbies on a bus that delays, reorders between senders, and loses replies; servers come, are stopped, and die.
//! Whatever happens: nobody plays two matches, and no ticket is lost without its player being told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use wsmesh_adapter::{ClientId, Instance, ServerName};

use super::*;
use crate::rules::players::{Busy, Player};

const MODES: [(&str, usize); 3] = [("duel", 2), ("trio", 3), ("arena", 4)];

#[derive(Debug, Clone)]
enum Action {
    Request { client: u8, at: u8, mode: u8 },
    Cancel { client: u8, at: u8 },
    Close { client: u8 },
    Deliver { which: u8, reply_lost: bool },
    Round { at: u8 },
    SeeRoster { at: u8 },
    Come,
    Stop { which: u8 },
    Kill { which: u8, unsent: u8 },
    Miss,
    EndMatch { which: u8 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..12_u8, any::<u8>(), 0..3_u8).prop_map(|(client, at, mode)| Action::Request { client, at, mode }),
        1 => (0..12_u8, any::<u8>()).prop_map(|(client, at)| Action::Cancel { client, at }),
        1 => (0..12_u8).prop_map(|client| Action::Close { client }),
        12 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(which, reply_lost)| Action::Deliver { which, reply_lost }),
        6 => any::<u8>().prop_map(|at| Action::Round { at }),
        3 => any::<u8>().prop_map(|at| Action::SeeRoster { at }),
        1 => Just(Action::Come),
        1 => any::<u8>().prop_map(|which| Action::Stop { which }),
        1 => (any::<u8>(), 0..4_u8).prop_map(|(which, unsent)| Action::Kill { which, unsent }),
        1 => Just(Action::Miss),
        1 => any::<u8>().prop_map(|which| Action::EndMatch { which }),
    ]
}

#[derive(Debug, Clone)]
enum Message {
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

type InFlight = (ServerName, ServerName, Message);

#[derive(Default)]
struct World {
    now: Duration,
    instances: u64,
    lobbies: BTreeMap<ServerName, Lobby>,
    stopped: BTreeSet<ServerName>,
    bus: Vec<InFlight>,
    /// Reservations: how many answers are due, and what was answered.
    reserving: BTreeMap<FormationId, (usize, Vec<Busy>)>,
    running: BTreeMap<MatchId, (FormationId, BTreeSet<ClientId>)>,
    /// How often each client's connection was closed: it comes back through the next ws-node.
    closed: BTreeMap<u8, usize>,
    /// What ws-nodes are to tell clients should a process die: by ws-node, client and ticket.
    wills: BTreeMap<(ServerName, ClientId, String), (Instance, Cancelled)>,
    /// Who was given a ticket for which mode, lastly which one, and was neither matched nor told otherwise.
    waiting: BTreeMap<(ClientId, String), String>,
}

fn ws_node(number: usize) -> ServerName {
    ServerName::new(format!("ws-{number}")).expect("valid")
}

impl World {
    fn player(&self, client: u8) -> Player {
        let server = ws_node(self.closed.get(&client).copied().unwrap_or_default());
        Player {
            client: ClientId::new(format!("c{client}")).expect("valid"),
            server,
        }
    }

    fn come(&mut self) {
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

    fn see_roster(&mut self, at: &ServerName) {
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

    fn pick(&self, which: u8) -> ServerName {
        self.lobbies
            .keys()
            .nth(usize::from(which) % self.lobbies.len())
            .expect("never empty")
            .clone()
    }

    fn with<T>(&mut self, at: &ServerName, act: impl FnOnce(&mut Lobby) -> T) -> T {
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
            Effect::Reserve { servers, reservation } => {
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
            // A match that is being withdrawn does not count any more.
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
            } => servers.into_iter().for_each(|server| {
                self.wills.remove(&(server, client.clone(), ticket.clone()));
            }),
            Effect::Matched { .. } => {}
        }
    }

    fn tell_all(&mut self, from: &ServerName, message: &Message) {
        for to in self.lobbies.keys().filter(|to| *to != from) {
            self.bus.push((from.clone(), to.clone(), message.clone()));
        }
    }

    fn request(&mut self, client: u8, at: &ServerName, mode: &str) {
        let (now, player) = (self.now, self.player(client));
        let wish = Wish {
            mode: Some(mode.into()),
            rating: 1_000,
            party: None,
        };
        let answer = match self.with(at, |lobby| lobby.request(now, player.clone(), wish.clone())) {
            Ok(Answer::Ask(owner)) => {
                // Whoever cannot be reached, or is being stopped, does not lose the ticket: it waits here.
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

    /// Delivers one message: the oldest of its sender to its receiver.
    fn deliver(&mut self, which: usize, reply_lost: bool) {
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

    fn arrive(&mut self, (from, to, message): InFlight, reply_lost: bool) {
        let now = self.now;
        // Who died hears no replies.
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
                    self.with(&from, |lobby| lobby.handed_over(&tickets, &taken));
                }
            }
            _ if !alive => {}
            Message::Release(formation) => self.with(&to, |lobby| lobby.release(&formation)),
            Message::Began(began) => self.with(&to, |lobby| lobby.began(now, &began)),
            Message::Ended(id) => self.with(&to, |lobby| lobby.ended(&id)),
            Message::Leaving(name, instance) => self.with(&to, |lobby| lobby.leaving(&name, instance)),
            Message::Closed(player) => self.with(&to, |lobby| lobby.client_closed(now, &player)),
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

    fn end(&mut self, host: &ServerName, id: &MatchId) {
        self.running.remove(id);
        self.with(host, |lobby| lobby.ended(id));
        self.tell_all(host, &Message::Ended(id.clone()));
    }

    fn act(&mut self, action: Action) {
        self.now += Duration::from_millis(10);
        let now = self.now;
        match action {
            Action::Request { client, at, mode } => {
                let at = self.pick(at);
                self.request(client, &at, MODES[usize::from(mode)].0);
            }
            Action::Cancel { client, at } => {
                let (at, player) = (self.pick(at), self.player(client));
                let owners = self.lobbies[&at].owners(None).expect("all modes");
                let asked = owners
                    .into_iter()
                    .chain([at])
                    .filter(|name| self.lobbies.contains_key(name));
                for name in asked.collect::<Vec<_>>() {
                    self.with(&name, |lobby| lobby.cancel(now, &player, None));
                }
                self.waiting.retain(|(client, _), _| *client != player.client);
            }
            Action::Close { client } => {
                let player = self.player(client);
                self.tell_all(&player.server, &Message::Closed(player.clone()));
                self.wills
                    .retain(|(server, client, _), _| (server, client) != (&player.server, &player.client));
                *self.closed.entry(client).or_default() += 1;
                self.waiting.retain(|(client, _), _| *client != player.client);
            }
            Action::Deliver { which, reply_lost } => self.deliver(usize::from(which), reply_lost),
            Action::Round { at } => {
                let at = self.pick(at);
                self.with(&at, |lobby| lobby.round(now));
            }
            Action::SeeRoster { at } => {
                let at = self.pick(at);
                self.see_roster(&at);
            }
            Action::Come if self.lobbies.len() < 4 => self.come(),
            Action::Come => {}
            Action::Stop { which } => self.stop(which),
            Action::Kill { which, unsent } => self.kill(which, usize::from(unsent)),
            Action::Miss => self.miss(),
            Action::EndMatch { which } => {
                if let Some(id) = self
                    .running
                    .keys()
                    .nth(usize::from(which) % self.running.len().max(1))
                    .cloned()
                {
                    self.end_anywhere(&id);
                }
            }
        }
        self.bury();
    }

    fn stop(&mut self, which: u8) {
        let name = self.pick(which);
        if self.lobbies.len() - self.stopped.len() > 1 && self.stopped.insert(name.clone()) {
            self.with(&name, Lobby::stop);
            let instance = self.lobbies[&name].instance;
            self.tell_all(&name, &Message::Leaving(name.clone(), instance));
        }
    }

    /// A server dies. What it said last is lost; what was said arrives before anybody misses it. There is another one soon.
    fn kill(&mut self, which: u8, unsent: usize) {
        let name = self.pick(which);
        let dead = self.lobbies.remove(&name).expect("alive").instance;
        self.stopped.remove(&name);
        let (mut said, others) = std::mem::take(&mut self.bus)
            .into_iter()
            .partition::<Vec<_>, _>(|(from, _, _)| *from == name);
        self.bus = others;
        let unsaid = said.split_off(said.len().saturating_sub(unsent));
        if self.lobbies.len() == self.stopped.len() {
            self.come();
        }
        said.into_iter().for_each(|message| self.arrive(message, false));
        for (_, host, message) in unsaid {
            // Nobody ends that match now, so it ends by itself some time.
            if let Message::Withdraw(formation) = message
                && let Some(id) = self.lobbies.get(&host).and_then(|lobby| lobby.hosted_for(&formation))
            {
                let id = id.clone();
                self.end(&host, &id);
            }
        }
        self.running.retain(|id, _| id.host() != Some(dead));
    }

    /// The ws-nodes miss the servers that died: they tell the clients what those wanted.
    fn miss(&mut self) {
        let alive: BTreeSet<Instance> = self.lobbies.values().map(|lobby| lobby.instance).collect();
        let places = self.places();
        let lost = self.wills.extract_if(.., |_, (holder, _)| !alive.contains(holder));
        for ((_, client, _), (_, notice)) in lost {
            let place = (client, notice.mode);
            // Who asked again meanwhile waits elsewhere, with another ticket.
            if self.waiting.get(&place) == Some(&notice.ticket) || !places.contains(&place) {
                self.waiting.remove(&place);
            }
        }
    }

    fn end_anywhere(&mut self, id: &MatchId) {
        let host = self.lobbies.iter().find(|(_, lobby)| Some(lobby.instance) == id.host());
        let host = host.map(|(name, _)| name.clone()).expect("hosts go last");
        self.end(&host, id);
    }

    /// A stopped server goes once it has nothing left and nobody owes it an answer.
    fn bury(&mut self) {
        let done = |name: &ServerName| {
            let lobby = &self.lobbies[name];
            lobby.is_empty() && lobby.hosted() == 0 && self.bus.iter().all(|(from, _, _)| from != name)
        };
        let gone: Vec<_> = self.stopped.iter().filter(|name| done(name)).cloned().collect();
        for name in gone {
            self.stopped.remove(&name);
            self.lobbies.remove(&name);
        }
    }

    /// Everything on its way arrives, everyone sees the same roster, every stopped server has gone.
    fn settle(&mut self) {
        self.miss();
        for _ in 0..120 {
            for name in self.lobbies.keys().cloned().collect::<Vec<_>>() {
                self.see_roster(&name);
                self.now += Duration::from_secs(1);
                let now = self.now;
                self.with(&name, |lobby| lobby.round(now));
            }
            while !self.bus.is_empty() {
                self.deliver(0, false);
            }
            for id in self.running.keys().cloned().collect::<Vec<_>>() {
                self.end_anywhere(&id);
            }
            self.bury();
        }
    }

    fn places(&self) -> BTreeSet<(ClientId, String)> {
        let queues = self.lobbies.values().flat_map(|lobby| &lobby.queues);
        let waiting = queues.flat_map(|queue| queue.tickets().map(|ticket| (ticket, &queue.mode().name)));
        let formations = self.lobbies.values().flat_map(|lobby| lobby.formations.values());
        let forming = formations.flat_map(|formed| formed.tickets.iter().map(|ticket| (ticket, &formed.mode)));
        let tickets = waiting.chain(forming);
        tickets
            .map(|(ticket, mode)| (ticket.client.clone(), mode.clone()))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn nobody_plays_twice_and_no_ticket_is_lost(actions in prop::collection::vec(action(), 1..250)) {
        let mut world = World { now: Duration::from_secs(86_400), ..World::default() };
        world.come();
        world.come();
        for action in actions {
            world.act(action);
        }
        world.settle();
        prop_assert!(world.stopped.is_empty(), "{:?} never got rid of their tickets", world.stopped);
        prop_assert!(world.lobbies.values().all(|lobby| lobby.forming() == 0));
        world.miss();
        let places = world.places();
        for lost in world.waiting.keys().filter(|place| !places.contains(place)) {
            prop_assert!(false, "lost: {:?}", lost);
        }
        for mode in MODES {
            let left = world.waiting.keys().filter(|(_, name)| name == mode.0).count();
            prop_assert!(left < mode.1, "{} players wait for {}", left, mode.0);
        }
    }
}
