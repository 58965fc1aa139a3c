//! The roster: the live servers, as this server sees them, from their beacons and on this server's own clock.
//!
//! No leader, no agreement: a server is alive while its beacons come. State without I/O; time is handed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::beacon::Beacon;
use crate::wire::{Instance, ServerName};

/// A server is forgotten after this many beacon intervals of silence.
const SILENT_INTERVALS: u32 = 6;

/// How long a process that left is remembered: longer than any node can hold back a beacon.
const REMEMBER_DEPARTED: Duration = Duration::from_secs(600);

/// What a beacon or the passing of time changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A server is new to this one, or back after silence.
    Joined(ServerName),
    /// This process of the server is gone: it said goodbye, fell silent, or was started again.
    Left(ServerName, Instance),
    /// What it hears, or whether it counts, changed.
    Hearing,
    /// Another process has this server's own name and is younger.
    Namesake(Instance),
    /// The older process of this server's name told this one to step back.
    Refused,
}

#[derive(Debug)]
struct Entry {
    beacon: Beacon,
    last: Instant,
}

/// A process that left, with its last beacon: copies of it still arrive through slower nodes.
#[derive(Debug)]
struct Departed {
    instance: Instance,
    number: u64,
    since: Instant,
}

/// The live servers but this one.
#[derive(Debug)]
pub(crate) struct Roster {
    me: ServerName,
    instance: Instance,
    servers: BTreeMap<ServerName, Entry>,
    departed: BTreeMap<ServerName, Vec<Departed>>,
    /// Whoever was silent until then could not be heard.
    excused: Option<Instant>,
}

/// How long to wait between beacons: slower as the roster grows, so that their sum stays bounded.
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
        }
    }

    /// Takes a beacon. Late copies and this server's own change nothing.
    pub(crate) fn on_beacon(&mut self, beacon: Beacon, now: Instant) -> Vec<Change> {
        if beacon.name == self.me {
            return self.on_namesake(&beacon);
        }
        if self.is_late(&beacon) {
            return Vec::new();
        }
        let name = beacon.name.clone();
        let mut changes = Vec::new();
        if let Some(entry) = self.servers.get_mut(&name) {
            let known = &entry.beacon;
            if beacon.instance == known.instance && !beacon.is_goodbye() {
                if (&known.heard, known.counted, known.parting) != (&beacon.heard, beacon.counted, beacon.parting) {
                    changes.push(Change::Hearing);
                }
                *entry = Entry { beacon, last: now };
                return changes;
            }
            if beacon.instance < known.instance {
                // Two live processes of one name, or one that was started after the wall clock was set back: the other one
                // will have left or fallen silent soon.
                return changes;
            }
            changes.push(Change::Left(name.clone(), known.instance));
            let (instance, number) = (known.instance, known.number);
            self.servers.remove(&name);
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

    /// Whether this process said something later already.
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

    fn on_namesake(&self, beacon: &Beacon) -> Vec<Change> {
        if beacon.instance == self.instance || beacon.is_goodbye() {
            Vec::new()
        } else if beacon.instance < self.instance {
            // Only an older process that is alive can name this one: a beacon that lay about proves nothing.
            if beacon.rival == Some(self.instance) {
                vec![Change::Refused]
            } else {
                Vec::new()
            }
        } else {
            vec![Change::Namesake(beacon.instance)]
        }
    }

    /// This process was stopped for a while, or heard no node: until now the silence of others proves nothing.
    pub(crate) fn be_patient(&mut self, now: Instant) {
        self.excused = Some(now);
    }

    /// Forgets who was silent for too long.
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
            self.servers.remove(&name);
            self.remember(&name, instance, number, now);
            changes.push(Change::Left(name, instance));
        }
        changes
    }

    /// The live servers but this one, by name, with the time of their last beacon.
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

    /// Whether a server of this name lives, or left lately.
    pub(crate) fn remembers(&self, name: &ServerName) -> bool {
        self.servers.contains_key(name) || self.departed.contains_key(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Parting;
    use crate::wire::{NodeId, ServiceName};

    fn beacon(name: &str, instance: u64, number: u64) -> Beacon {
        Beacon {
            format: super::super::beacon::FORMAT,
            name: ServerName::new(name).expect("valid"),
            service: ServiceName::new("ws-node").expect("valid"),
            instance: Instance(instance),
            version: "1".into(),
            number,
            counted: true,
            heard: vec![NodeId::new("redis-0").expect("valid")],
            gaps: BTreeMap::new(),
            mark: 1,
            topology: serde_json::Value::Null,
            settings: BTreeMap::new(),
            clients: 0,
            rooms: 0,
            parting: Parting::Staying,
            rival: None,
        }
    }

    fn name(name: &str) -> ServerName {
        ServerName::new(name).expect("valid")
    }

    fn roster() -> (Roster, Instant) {
        (Roster::new(name("me"), Instance(10)), Instant::now())
    }

    #[test]
    fn a_server_joins_with_its_first_beacon_and_leaves_with_its_goodbye() {
        let (mut roster, now) = roster();
        assert_eq!(roster.on_beacon(beacon("a", 1, 1), now), [Change::Joined(name("a"))]);
        assert_eq!(roster.on_beacon(beacon("a", 1, 2), now), []);
        let goodbye = Beacon {
            parting: Parting::Leaving,
            ..beacon("a", 1, 3)
        };
        assert_eq!(roster.on_beacon(goodbye, now), [Change::Left(name("a"), Instance(1))]);
        assert_eq!(roster.len(), 0);
        assert_eq!(
            roster.on_beacon(beacon("a", 1, 2), now),
            [],
            "a copy through a slower node"
        );
        assert_eq!(
            roster.on_beacon(beacon("a", 2, 1), now),
            [Change::Joined(name("a"))],
            "started again"
        );
    }

    #[test]
    fn an_older_process_does_not_replace_a_younger_but_a_restart_is_seen() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 5, 9), now);
        assert_eq!(roster.on_beacon(beacon("a", 4, 10), now), []);
        let changes = roster.on_beacon(beacon("a", 6, 1), now);
        assert_eq!(
            changes,
            [Change::Left(name("a"), Instance(5)), Change::Joined(name("a"))]
        );
        assert_eq!(roster.instance_of(&name("a")), Some(Instance(6)));
    }

    #[test]
    fn a_silent_server_is_forgotten_after_six_intervals() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 1), now);
        assert_eq!(roster.expire(now + Duration::from_secs(6)), []);
        let changes = roster.expire(now + Duration::from_millis(6100));
        assert_eq!(changes, [Change::Left(name("a"), Instance(1))]);
    }

    #[test]
    fn a_server_that_fell_silent_comes_back_with_its_next_beacon_not_with_a_late_one() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 5), now);
        let later = now + Duration::from_secs(7);
        roster.expire(later);
        assert_eq!(roster.on_beacon(beacon("a", 1, 5), later), []);
        assert_eq!(roster.on_beacon(beacon("a", 1, 6), later), [Change::Joined(name("a"))]);
    }

    #[test]
    fn a_namesake_that_steps_back_leaves_the_older_process_in_the_roster() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 5), now);
        let changes = roster.on_beacon(beacon("a", 2, 1), now);
        assert_eq!(
            changes,
            [Change::Left(name("a"), Instance(1)), Change::Joined(name("a"))]
        );
        let goodbye = Beacon {
            parting: Parting::Leaving,
            ..beacon("a", 2, 2)
        };
        assert_eq!(roster.on_beacon(goodbye, now), [Change::Left(name("a"), Instance(2))]);
        assert_eq!(roster.on_beacon(beacon("a", 1, 6), now), [Change::Joined(name("a"))]);
        assert_eq!(roster.instance_of(&name("a")), Some(Instance(1)));
    }

    #[test]
    fn a_restart_after_the_wall_clock_was_set_back_is_taken_when_the_former_process_fell_silent() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 9, 50), now);
        assert_eq!(roster.on_beacon(beacon("a", 2, 1), now), [], "the former one may live");
        let later = now + Duration::from_secs(7);
        roster.expire(later);
        assert_eq!(roster.on_beacon(beacon("a", 2, 7), later), [Change::Joined(name("a"))]);
        assert_eq!(roster.on_beacon(beacon("a", 9, 50), later), [], "a late copy");
    }

    #[test]
    fn a_process_that_was_stopped_does_not_take_others_for_gone() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 1), now);
        let woken = now + Duration::from_secs(60);
        roster.be_patient(woken);
        assert_eq!(roster.expire(woken), []);
        let last: Vec<_> = roster.iter().map(|(_, last)| last).collect();
        assert_eq!(last, [now], "nothing was heard of it since");
        let later = woken + Duration::from_secs(7);
        assert_eq!(roster.expire(later), [Change::Left(name("a"), Instance(1))]);
    }

    #[test]
    fn a_change_of_hearing_is_told() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 1), now);
        let deaf = Beacon {
            heard: vec![],
            ..beacon("a", 1, 2)
        };
        assert_eq!(roster.on_beacon(deaf.clone(), now), [Change::Hearing]);
        assert_eq!(roster.on_beacon(deaf, now), [], "a late copy");
    }

    #[test]
    fn the_younger_of_two_namesakes_steps_back_when_the_older_names_it() {
        let (roster, _) = roster();
        assert_eq!(
            roster.on_namesake(&beacon("me", 20, 1)),
            [Change::Namesake(Instance(20))]
        );
        assert_eq!(
            roster.on_namesake(&beacon("me", 3, 1)),
            [],
            "an old beacon that lay about"
        );
        let told = Beacon {
            rival: Some(Instance(10)),
            ..beacon("me", 3, 1)
        };
        assert_eq!(roster.on_namesake(&told), [Change::Refused]);
    }

    #[test]
    fn beacons_slow_down_as_the_roster_grows() {
        assert_eq!(beacon_interval(3), Duration::from_secs(1));
        assert_eq!(beacon_interval(200), Duration::from_secs(4));
    }
}
