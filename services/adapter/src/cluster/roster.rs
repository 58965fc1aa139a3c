//! The roster: the live servers as this server sees them, from their beacons and by this server's own clock.
//!
//! There is no leader and no agreement: a server is alive while its beacons arrive. State without I/O; the time is
//! passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::beacon::Beacon;
use crate::wire::{Instance, ServerName};

/// A server is forgotten after this many beacon intervals of silence.
const SILENT_INTERVALS: u32 = 6;

/// How long a process that left is remembered: longer than any node can delay a beacon.
const REMEMBER_DEPARTED: Duration = Duration::from_secs(600);

/// A change of the roster, caused by a beacon or by silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A server is new, or is back after silence.
    Joined(ServerName),
    /// This process of a server is gone: it said goodbye, fell silent, or was restarted.
    Left(ServerName, Instance),
    /// A server hears other nodes, or nodes as another Redis, or counts or not, or is leaving.
    Hearing,
    /// A younger process uses this server's own name.
    NameConflict(Instance),
    /// The older process with this server's name told this one to step back.
    StepBack,
}

#[derive(Debug)]
struct Entry {
    beacon: Beacon,
    last: Instant,
}

/// A process that left, with the number of its last beacon: copies of it may still arrive through slower nodes.
#[derive(Debug)]
struct Departed {
    instance: Instance,
    number: u64,
    since: Instant,
}

/// The live servers except this one.
#[derive(Debug)]
pub(crate) struct Roster {
    me: ServerName,
    instance: Instance,
    servers: BTreeMap<ServerName, Entry>,
    departed: BTreeMap<ServerName, Vec<Departed>>,
    /// Until then this server could not hear others, so their silence does not count.
    excused: Option<Instant>,
    /// The last beacons of processes that left without saying goodbye, since somebody asked.
    lost: Vec<Beacon>,
}

/// The time between two beacons. It grows with the roster, so that the total number stays bounded.
pub(crate) fn beacon_interval(servers: usize) -> Duration {
    Duration::from_secs_f64((servers as f64 / 50.0).max(1.0))
}

impl Roster {
    pub(crate) fn new(me: ServerName, instance: Instance) -> Self {
        Self {
            me,
            instance,
            servers: BTreeMap::new(),
            departed: BTreeMap::new(),
            excused: None,
            lost: Vec::new(),
        }
    }

    /// Takes a beacon. Late copies and this server's own beacons change nothing.
    pub(crate) fn on_beacon(&mut self, beacon: Beacon, now: Instant) -> Vec<Change> {
        if beacon.name == self.me {
            return self.on_name_conflict(&beacon);
        }
        if self.is_late(&beacon) {
            return Vec::new();
        }
        let name = beacon.name.clone();
        let mut changes = Vec::new();
        if let Some(entry) = self.servers.get_mut(&name) {
            let known = &entry.beacon;
            if beacon.instance == known.instance && !beacon.is_goodbye() {
                if !known.hears_as(&beacon) {
                    changes.push(Change::Hearing);
                }
                *entry = Entry { beacon, last: now };
                return changes;
            }
            if beacon.instance < known.instance {
                // Two live processes have one name, or the wall clock was set back before a restart. The other one will
                // soon leave or fall silent.
                return changes;
            }
            changes.push(Change::Left(name.clone(), known.instance));
            let (instance, number) = (known.instance, known.number);
            let before = self.servers.remove(&name);
            let is_lost = instance != beacon.instance;
            self.lost.extend(before.filter(|_| is_lost).map(|entry| entry.beacon));
            self.remember(&name, instance, number, now);
        }
        if beacon.is_goodbye() {
            self.remember(&name, beacon.instance, beacon.number, now);
        } else {
            changes.push(Change::Joined(name.clone()));
            self.servers.insert(name, Entry { beacon, last: now });
        }
        changes
    }

    /// Whether no beacon of this process that is as late has arrived yet: beacons come through every node, some later.
    pub(crate) fn is_news(&self, beacon: &Beacon) -> bool {
        !self.is_late(beacon)
    }

    fn is_late(&self, beacon: &Beacon) -> bool {
        let live = self.servers.get(&beacon.name).map(|entry| &entry.beacon);
        let departed = self.departed.get(&beacon.name).into_iter().flatten();
        let known = departed.map(|departed| (departed.instance, departed.number));
        known
            .chain(live.map(|known| (known.instance, known.number)))
            .any(|(instance, number)| instance == beacon.instance && number >= beacon.number)
    }

    fn remember(&mut self, name: &ServerName, instance: Instance, number: u64, since: Instant) {
        let departed = self.departed.entry(name.clone()).or_default();
        departed.retain(|known| known.instance != instance);
        departed.push(Departed {
            instance,
            number,
            since,
        });
    }

    fn on_name_conflict(&self, beacon: &Beacon) -> Vec<Change> {
        if beacon.instance == self.instance || beacon.is_goodbye() {
            Vec::new()
        } else if beacon.instance < self.instance {
            // Only a live older process can name this one; an old beacon that was delayed proves nothing.
            if beacon.rival == Some(self.instance) {
                vec![Change::StepBack]
            } else {
                Vec::new()
            }
        } else {
            vec![Change::NameConflict(beacon.instance)]
        }
    }

    /// This process was stopped for a while, or heard no node: silence of others before `now` proves nothing.
    pub(crate) fn be_patient(&mut self, now: Instant) {
        self.excused = Some(now);
    }

    /// Forgets servers that were silent for too long.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Change> {
        let limit = beacon_interval(self.servers.len() + 1) * SILENT_INTERVALS;
        let recent = |departed: &Departed| now.saturating_duration_since(departed.since) <= REMEMBER_DEPARTED;
        self.departed.retain(|_, processes| {
            processes.retain(recent);
            !processes.is_empty()
        });
        let last = |entry: &Entry| self.excused.map_or(entry.last, |until| until.max(entry.last));
        let silent = |entry: &Entry| now.saturating_duration_since(last(entry)) > limit;
        let silent = self.servers.values().filter(|entry| silent(entry));
        let silent: Vec<_> = silent
            .map(|entry| (entry.beacon.name.clone(), entry.beacon.instance, entry.beacon.number))
            .collect();
        let mut changes = Vec::new();
        for (name, instance, number) in silent {
            let before = self.servers.remove(&name);
            self.lost.extend(before.map(|entry| entry.beacon));
            self.remember(&name, instance, number, now);
            changes.push(Change::Left(name, instance));
        }
        changes
    }

    /// The last beacons of the processes that left without saying goodbye since the last call.
    pub(crate) fn take_lost(&mut self) -> Vec<Beacon> {
        std::mem::take(&mut self.lost)
    }

    /// The live servers except this one, by name, with the time of their last beacon.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Beacon, Instant)> {
        self.servers.values().map(|entry| (&entry.beacon, entry.last))
    }

    pub(crate) fn instance_of(&self, name: &ServerName) -> Option<Instance> {
        self.servers.get(name).map(|entry| entry.beacon.instance)
    }

    /// The last beacon of a live server.
    pub(crate) fn beacon_of(&self, name: &ServerName) -> Option<&Beacon> {
        self.servers.get(name).map(|entry| &entry.beacon)
    }

    /// Whether a server of this name is alive or left recently.
    pub(crate) fn remembers(&self, name: &ServerName) -> bool {
        self.servers.contains_key(name) || self.departed.contains_key(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
