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

    /// Whether a later beacon of this process has arrived already.
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
mod tests {
    use super::*;
    use crate::cluster::Parting;
    use crate::wire::{NodeId, ServiceName};

    fn beacon(name: &str, instance: u64, number: u64) -> Beacon {
        Beacon {
            format: super::super::beacon::FORMAT,
            cluster_id: Default::default(),
            name: ServerName::new(name).expect("valid"),
            service: ServiceName::new("ws-node").expect("valid"),
            instance: Instance(instance),
            version: "1".into(),
            number,
            counted: true,
            heard: vec![NodeId::new("redis-0").expect("valid")],
            runs: Default::default(),
            gaps: BTreeMap::new(),
            subscribers: BTreeMap::new(),
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
    fn a_silent_server_comes_back_with_its_next_beacon_but_not_with_a_late_one() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 5), now);
        let later = now + Duration::from_secs(7);
        roster.expire(later);
        assert_eq!(roster.on_beacon(beacon("a", 1, 5), later), []);
        assert_eq!(roster.on_beacon(beacon("a", 1, 6), later), [Change::Joined(name("a"))]);
    }

    #[test]
    fn when_the_younger_of_two_processes_with_one_name_leaves_the_older_one_is_back() {
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
    fn a_restart_after_the_wall_clock_was_set_back_is_accepted_once_the_former_process_is_silent() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 9, 50), now);
        assert_eq!(
            roster.on_beacon(beacon("a", 2, 1), now),
            [],
            "the former one may be alive"
        );
        let later = now + Duration::from_secs(7);
        roster.expire(later);
        assert_eq!(roster.on_beacon(beacon("a", 2, 7), later), [Change::Joined(name("a"))]);
        assert_eq!(roster.on_beacon(beacon("a", 9, 50), later), [], "a late copy");
    }

    #[test]
    fn a_process_that_was_stopped_does_not_consider_others_gone() {
        let (mut roster, now) = roster();
        roster.on_beacon(beacon("a", 1, 1), now);
        let woken = now + Duration::from_secs(60);
        roster.be_patient(woken);
        assert_eq!(roster.expire(woken), []);
        let last: Vec<_> = roster.iter().map(|(_, last)| last).collect();
        assert_eq!(last, [now], "no beacon arrived since");
        let later = woken + Duration::from_secs(7);
        assert_eq!(roster.expire(later), [Change::Left(name("a"), Instance(1))]);
    }

    #[test]
    fn a_change_of_hearing_is_reported() {
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
    fn a_node_that_a_server_hears_after_its_restart_is_a_change_of_hearing() {
        let (mut roster, now) = roster();
        let of_run = |run, number| Beacon {
            runs: serde_json::json!({"redis-0": run}).into(),
            ..beacon("a", 1, number)
        };
        roster.on_beacon(of_run("0f7a6b5c", 1), now);
        assert_eq!(roster.on_beacon(of_run("0f7a6b5c", 2), now), []);
        assert_eq!(roster.on_beacon(of_run("99999998", 3), now), [Change::Hearing]);
    }

    #[test]
    fn the_younger_of_two_processes_with_one_name_steps_back_when_the_older_names_it() {
        let (roster, _) = roster();
        assert_eq!(
            roster.on_name_conflict(&beacon("me", 20, 1)),
            [Change::NameConflict(Instance(20))]
        );
        assert_eq!(
            roster.on_name_conflict(&beacon("me", 3, 1)),
            [],
            "an old beacon that was delayed"
        );
        let told = Beacon {
            rival: Some(Instance(10)),
            ..beacon("me", 3, 1)
        };
        assert_eq!(roster.on_name_conflict(&told), [Change::StepBack]);
    }

    #[test]
    fn a_process_is_lost_unless_it_said_goodbye() {
        let (mut roster, now) = roster();
        let goodbye = |name, instance| Beacon {
            parting: Parting::Leaving,
            ..beacon(name, instance, 9)
        };
        for name in ["a", "b", "c"] {
            roster.on_beacon(beacon(name, 1, 1), now);
        }
        roster.on_beacon(goodbye("a", 1), now);
        assert!(roster.take_lost().is_empty());
        // It was started again under its name.
        roster.on_beacon(beacon("b", 2, 1), now);
        let lost = |roster: &mut Roster| {
            let lost = roster.take_lost().into_iter();
            lost.map(|beacon| (beacon.name.to_string(), beacon.instance.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(lost(&mut roster), [("b".to_owned(), 1)]);
        roster.expire(now + Duration::from_secs(7));
        assert_eq!(lost(&mut roster), [("b".to_owned(), 2), ("c".to_owned(), 1)]);
        assert!(lost(&mut roster).is_empty(), "each is told once");
    }

    #[test]
    fn beacons_slow_down_as_the_roster_grows() {
        assert_eq!(beacon_interval(3), Duration::from_secs(1));
        assert_eq!(beacon_interval(200), Duration::from_secs(4));
    }
}
