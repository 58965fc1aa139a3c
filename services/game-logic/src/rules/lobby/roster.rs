//! The live servers as a lobby knows them, and what it does when they come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wsmesh_adapter::{Instance, ServerName};

use super::{Effect, Lobby};
use crate::rules::ownership;

/// A live server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// Its process.
    pub instance: Instance,
    /// Whether it can own queues and run matches: it is a game-logic server that counts.
    pub plays: bool,
}

/// The live servers.
#[derive(Debug)]
pub(super) struct Roster {
    me: ServerName,
    live: BTreeMap<ServerName, Instance>,
    /// The game-logic servers, including those that are stopping: they may still run matches.
    peers: BTreeSet<ServerName>,
    /// The game-logic servers that own queues and accept matches.
    owners: BTreeSet<ServerName>,
    leaving: BTreeSet<Instance>,
}

impl Roster {
    pub(super) fn new(me: ServerName) -> Self {
        Self {
            me,
            live: BTreeMap::new(),
            peers: BTreeSet::new(),
            owners: BTreeSet::new(),
            leaving: BTreeSet::new(),
        }
    }

    pub(super) fn me(&self) -> &ServerName {
        &self.me
    }

    /// The server that owns the queue, or that tells the players of a lost match.
    pub(super) fn owner(&self, key: &str) -> Option<&ServerName> {
        ownership::owner(key, &self.owners)
    }

    /// The servers that may run a match, in the order in which to ask them.
    pub(super) fn hosts(&self, key: &str) -> Vec<&ServerName> {
        ownership::ranked(key, &self.owners)
    }

    /// Every other live game-logic server.
    pub(super) fn others(&self) -> Vec<ServerName> {
        self.peers.iter().filter(|name| **name != self.me).cloned().collect()
    }

    /// Takes the new roster and returns the processes that are gone.
    fn update(&mut self, servers: &[Server]) -> Vec<(ServerName, Instance)> {
        let live: BTreeMap<_, _> = servers
            .iter()
            .map(|server| (server.name.clone(), server.instance))
            .collect();
        let before = std::mem::replace(&mut self.live, live);
        self.leaving
            .retain(|instance| servers.iter().any(|server| server.instance == *instance));
        let peers = || servers.iter().filter(|server| server.plays);
        self.peers = peers().map(|server| server.name.clone()).collect();
        let stays = |server: &&Server| !self.leaving.contains(&server.instance);
        self.owners = peers().filter(stays).map(|server| server.name.clone()).collect();
        before
            .into_iter()
            .filter(|(name, instance)| self.live.get(name) != Some(instance))
            .collect()
    }

    fn leaving(&mut self, name: &ServerName, instance: Instance) {
        self.leaving.insert(instance);
        if self.live.get(name) == Some(&instance) {
            self.owners.remove(name);
        }
    }
}

impl Lobby {
    /// The roster has changed. The players of a ws-node that is gone leave their queues and matches. They are told, as this server
    /// may be the one that was cut off. The matches of a game-logic server that is gone are lost; the server that owns the match's
    /// id tells its players.
    pub fn roster(&mut self, now: Duration, servers: &[Server]) {
        for (name, instance) in self.roster.update(servers) {
            self.server_gone(now, &name);
            for id in self.players.hosted_by(instance) {
                self.players.ended(&id);
                if self.roster.owner(id.as_str()) == Some(self.roster.me()) {
                    self.effects.push(Effect::Lost { id });
                }
            }
        }
    }

    /// Another game-logic server is stopping: it owns nothing from now on.
    pub fn leaving(&mut self, server: &ServerName, instance: Instance) {
        self.roster.leaving(server, instance);
    }

    /// This server is stopping: it accepts no new matches, and its queues belong to the others.
    pub fn stop(&mut self) {
        self.stopping = true;
        let me = self.roster.me.clone();
        self.roster.leaving(&me, self.instance);
    }

    /// Whether no player waits here.
    pub fn is_empty(&self) -> bool {
        self.formations.is_empty() && self.queues.iter().all(crate::rules::matchmaking::Queue::is_empty)
    }

    /// Whether another server can take over the queues.
    pub fn has_successor(&self) -> bool {
        !self.roster.owners.is_empty()
    }

    /// There is no time left: every player who still waits here is told so.
    pub fn give_up(&mut self, now: Duration) {
        let formations: Vec<_> = self.formations.keys().cloned().collect();
        formations.iter().for_each(|formation| self.dissolve(formation));
        for mode in 0..self.queues.len() {
            for ticket in self.queues[mode].expire(now, Duration::ZERO) {
                self.cancelled(mode, &ticket, super::CancelReason::ServerRestart);
            }
        }
    }
}
