//! One step of the simulation: carries out an action, and lets stopped servers go.

use std::collections::BTreeSet;
use std::time::Duration;

use wsmesh_adapter::{ClientId, Instance};

use super::super::*;
use super::action::{Action, MODES};
use super::world::{Message, World};

impl World {
    pub(super) fn act(&mut self, action: Action) {
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

    /// A server dies. Its last messages are lost; the others arrive before the server is missed. If no other is left, one comes.
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
            // No server ends that match now, so it ends on its own at some point.
            if let Message::Withdraw(formation) = message
                && let Some(id) = self.lobbies.get(&host).and_then(|lobby| lobby.hosted_for(&formation))
            {
                let id = id.clone();
                self.end(&host, &id);
            }
        }
        self.running.retain(|id, _| id.host() != Some(dead));
    }

    /// The ws-nodes miss the servers that died and send the wills of those to the clients.
    pub(super) fn miss(&mut self) {
        let alive: BTreeSet<Instance> = self.lobbies.values().map(|lobby| lobby.instance).collect();
        let places = self.places();
        let lost = self.wills.extract_if(.., |_, (holder, _)| !alive.contains(holder));
        for ((_, client, _), (_, notice)) in lost {
            let place = (client, notice.mode);
            // A client that asked again meanwhile waits elsewhere, with another ticket.
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

    /// A stopped server goes once it has nothing left and no answer to it is on its way.
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

    /// All messages arrive, all servers see the same roster, and every stopped server goes.
    pub(super) fn settle(&mut self) {
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

    /// Every client and mode with a ticket in some lobby.
    pub(super) fn places(&self) -> BTreeSet<(ClientId, String)> {
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
