//! Rates from counters: what each server has counted more than at its answer before. A server that was restarted counts from zero,
//! which is noticed by its instance and by counters that went back: it has no rates until its next answer.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;
use wsmesh_adapter::{Counters, Gathered, Instance, Namespace, Room, ServerInfo, ServerName, StatsPart};
use wsmesh_protocol::report::EdgeReport;

use crate::gather::{self, Measured, Rates};

/// The last answer of each server.
#[derive(Debug, Default)]
pub(super) struct Meter {
    before: BTreeMap<ServerName, Answered>,
}

/// What a server answered, and when.
#[derive(Debug)]
struct Answered {
    instance: Option<Instance>,
    at: Instant,
    clock_ms: u64,
    counters: Counters,
    edge: EdgeReport,
    namespaces: BTreeMap<Option<Namespace>, u64>,
    rooms: BTreeMap<Room, u64>,
}

impl Meter {
    /// Takes new answers, which arrived at `now`. Servers that did not answer have no entry; their last answer is kept for their
    /// next one as long as they are in the roster.
    pub(super) fn measure(
        &mut self,
        roster: &[ServerInfo],
        gathered: &Gathered<StatsPart>,
        now: Instant,
    ) -> BTreeMap<ServerName, Measured> {
        let instances: BTreeMap<_, _> = roster.iter().map(|server| (&server.name, server.instance)).collect();
        let mut measured = BTreeMap::new();
        for (name, part) in &gathered.servers {
            let answered = Answered::new(instances.get(name).copied(), part, now);
            let since = self.before.get(name).and_then(|before| answered.since(before));
            measured.extend(since.map(|since| (name.clone(), since)));
            self.before.insert(name.clone(), answered);
        }
        let here: BTreeSet<_> = gathered.servers.iter().map(|(name, _)| name).collect();
        self.before
            .retain(|name, _| instances.contains_key(name) || here.contains(name));
        measured
    }
}

impl Answered {
    fn new(instance: Option<Instance>, part: &StatsPart, at: Instant) -> Self {
        let namespaces = part.namespaces.iter();
        let rooms = part.top_rooms.by_messages.iter();
        Self {
            instance,
            at,
            clock_ms: part.clock_ms,
            counters: part.counters.clone(),
            edge: gather::edge(part).unwrap_or_default(),
            namespaces: namespaces
                .map(|count| (count.namespace.clone(), count.messages))
                .collect(),
            rooms: rooms.map(|room| (room.room.clone(), room.messages)).collect(),
        }
    }

    /// What the server did since then; nothing if it was restarted.
    fn since(&self, before: &Self) -> Option<Measured> {
        if self.instance != before.instance {
            return None;
        }
        let seconds = self.time_since(before)?.as_secs_f64();
        let per_second = |now: u64, before: u64| Some(now.checked_sub(before)? as f64 / seconds);
        let (counters, edge) = (&self.counters, &self.edge);
        let disconnects = |edge: &EdgeReport| edge.closes.values().sum();
        let rates = Rates {
            messages_in: per_second(edge.frames_in, before.edge.frames_in)?,
            messages_out: per_second(edge.frames_out, before.edge.frames_out)?,
            bytes_in: per_second(edge.bytes_in, before.edge.bytes_in)?,
            bytes_out: per_second(edge.bytes_out, before.edge.bytes_out)?,
            publishes: per_second(counters.published, before.counters.published)?,
            connects: per_second(edge.connects, before.edge.connects)?,
            disconnects: per_second(disconnects(edge), disconnects(&before.edge))?,
        };
        // A server names its largest namespaces only: one that moves out of the rest was counted there before, and one that moves
        // into it brings what it had counted.
        let has_rest = |answer: &Self| answer.namespaces.contains_key(&None);
        let is_whole = !has_rest(self) && !has_rest(before);
        let new = if is_whole { New::FromZero } else { New::Unknown };
        let mut namespaces = each(&self.namespaces, &before.namespaces, new, seconds);
        if before.namespaces.keys().any(|name| !self.namespaces.contains_key(name)) {
            namespaces.remove(&None);
        }
        let lag = counters.lag.iter().enumerate();
        let lag = lag.map(|(place, count)| count.checked_sub(before.counters.lag.get(place).copied().unwrap_or(0)));
        Some(Measured {
            rates,
            lag: lag.collect::<Option<_>>()?,
            closes: each(&edge.closes, &before.edge.closes, New::FromZero, seconds),
            errors: each(&edge.errors, &before.edge.errors, New::FromZero, seconds),
            namespaces,
            rooms: each(&self.rooms, &before.rooms, New::Unknown, seconds),
        })
    }

    /// By the server's clock, as its counters were read then; by admin's, if the server's clock was set or says nothing.
    fn time_since(&self, before: &Self) -> Option<Duration> {
        let here = self.at.saturating_duration_since(before.at);
        let there = Duration::from_millis(self.clock_ms.saturating_sub(before.clock_ms));
        let is_plausible = before.clock_ms > 0 && (here / 2..=here * 2).contains(&there);
        let time = if is_plausible { there } else { here };
        (!time.is_zero()).then_some(time)
    }
}

/// What a counter was that is in this answer and not in the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum New {
    /// Zero: nothing had been counted.
    FromZero,
    /// Not known: it was left out.
    Unknown,
}

/// The rate of each counter. One that went back was counted elsewhere meanwhile: its rate is not known.
fn each<K: Ord + Hash + Clone>(
    now: &BTreeMap<K, u64>,
    before: &BTreeMap<K, u64>,
    new: New,
    seconds: f64,
) -> BTreeMap<K, f64> {
    let rates = now.iter().filter_map(|(key, count)| {
        let before = match (before.get(key), new) {
            (Some(before), _) => *before,
            (None, New::FromZero) => 0,
            (None, New::Unknown) => return None,
        };
        Some((key.clone(), count.checked_sub(before)? as f64 / seconds))
    });
    rates.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wsmesh_adapter::{NamespaceCount, RoomMessages, ServiceName};

    use super::*;

    fn server(instance: u64) -> ServerInfo {
        ServerInfo {
            name: ServerName::new("ws-1").expect("a name"),
            service: ServiceName::new("ws-node").expect("a name"),
            instance: Instance(instance),
            version: String::new(),
            clients: 0,
            rooms: 0,
            heard: Vec::new(),
            counted: true,
            retiring: false,
            age_ms: 0,
        }
    }

    fn part(clock_ms: u64, published: u64, edge: serde_json::Value) -> StatsPart {
        let report = serde_json::value::to_raw_value(&edge).expect("JSON");
        StatsPart {
            clock_ms,
            counters: Counters {
                published,
                lag: vec![published, 0],
                ..Counters::default()
            },
            reports: [("edge".to_owned(), report)].into(),
            ..StatsPart::default()
        }
    }

    fn gathered(part: StatsPart) -> Gathered<StatsPart> {
        Gathered {
            servers: vec![(ServerName::new("ws-1").expect("a name"), part)],
            missing: Vec::new(),
            complete: true,
        }
    }

    /// Two answers, one second apart.
    fn two(first: (u64, StatsPart), second: (u64, StatsPart)) -> Option<Measured> {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let before = meter.measure(&[server(first.0)], &gathered(first.1), now);
        assert!(before.is_empty(), "a first answer has nothing to compare with");
        let later = now + Duration::from_secs(1);
        let mut after = meter.measure(&[server(second.0)], &gathered(second.1), later);
        after.pop_first().map(|(_, measured)| measured)
    }

    #[test]
    fn rates_are_differences_by_the_clock_of_the_server() {
        let edge = |frames: u64| json!({"framesIn": frames, "closes": {"1000": frames}, "errors": {"TIMEOUT": frames}});
        let found = two((1, part(10_000, 100, edge(5))), (1, part(10_500, 150, edge(15))));
        let found = found.expect("rates");
        assert_eq!((found.rates.publishes, found.rates.messages_in), (100.0, 20.0));
        assert_eq!(found.rates.disconnects, 20.0);
        assert_eq!(found.lag, [50, 0]);
        assert_eq!((found.closes[&1000], found.errors["TIMEOUT"]), (20.0, 20.0));
    }

    #[test]
    fn a_restarted_server_has_no_rates_until_its_next_answer() {
        let found = two((1, part(10_000, 100, json!({}))), (2, part(11_000, 900, json!({}))));
        assert_eq!(found, None);
    }

    #[test]
    fn counters_that_went_back_give_no_rates_and_never_negative_ones() {
        let found = two((1, part(10_000, 100, json!({}))), (1, part(11_000, 7, json!({}))));
        assert_eq!(found, None);
        let connects = |count: u64| json!({"connects": count});
        let found = two((1, part(10_000, 0, connects(9))), (1, part(11_000, 0, connects(3))));
        assert_eq!(found, None);
    }

    #[test]
    fn a_clock_that_was_set_or_stands_still_is_not_believed() {
        for there in [0, 10_000, 9_000_000, 3] {
            let found = two((1, part(10_000, 100, json!({}))), (1, part(there, 130, json!({}))));
            assert_eq!(found.expect("rates").rates.publishes, 30.0, "{there}");
        }
    }

    #[test]
    fn a_server_of_an_older_version_has_rates_of_zero() {
        let old = StatsPart::default;
        let found = two((1, old()), (1, old())).expect("rates");
        assert_eq!(found, Measured::default());
    }

    #[test]
    fn a_report_that_is_not_understood_counts_as_none() {
        let found = two((1, part(1, 5, json!("soup"))), (1, part(1_001, 6, json!([1]))));
        assert_eq!(found.expect("rates").rates.publishes, 1.0);
    }

    #[test]
    fn a_room_that_is_new_among_the_busiest_has_no_rate_yet_and_a_namespace_counts_from_zero() {
        let with = |rooms: &[(&str, u64)]| StatsPart {
            clock_ms: 0,
            namespaces: rooms
                .iter()
                .map(|(id, messages)| NamespaceCount {
                    namespace: Namespace::new(*id).ok(),
                    messages: *messages,
                    ..NamespaceCount::default()
                })
                .collect(),
            top_rooms: wsmesh_adapter::TopRooms {
                by_messages: rooms
                    .iter()
                    .map(|(id, messages)| RoomMessages {
                        room: Room::new("chat", *id).expect("a room"),
                        messages: *messages,
                    })
                    .collect(),
                ..Default::default()
            },
            ..StatsPart::default()
        };
        let found = two(
            (1, with(&[("a", 5), ("b", 9)])),
            (1, with(&[("a", 8), ("b", 2), ("c", 700)])),
        );
        let found = found.expect("rates");
        let rooms: Vec<_> = found
            .rooms
            .iter()
            .map(|(room, rate)| (room.id.as_str(), *rate))
            .collect();
        assert_eq!(rooms, [("a", 3.0)]);
        let names = found.namespaces.keys().flatten().map(|name| name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_namespace_that_moves_out_of_the_rest_or_into_it_makes_no_spike() {
        let with = |namespaces: &[(&str, u64)]| StatsPart {
            namespaces: namespaces
                .iter()
                .map(|(name, messages)| NamespaceCount {
                    namespace: Namespace::new(*name).ok(),
                    messages: *messages,
                    ..NamespaceCount::default()
                })
                .collect(),
            ..StatsPart::default()
        };
        // The rest has no name.
        let out = two(
            (1, with(&[("a", 5), ("", 900)])),
            (1, with(&[("a", 8), ("b", 890), ("", 20)])),
        );
        let into = two(
            (1, with(&[("a", 5), ("b", 700), ("", 9)])),
            (1, with(&[("a", 8), ("", 710)])),
        );
        for found in [out, into] {
            let found = found.expect("rates").namespaces;
            let found: Vec<_> = found
                .iter()
                .map(|(name, rate)| (name.as_ref().map(Namespace::as_str), *rate))
                .collect();
            assert_eq!(found, [(Some("a"), 3.0)]);
        }
    }

    #[test]
    fn a_server_that_missed_a_question_is_measured_over_the_whole_time_and_one_that_left_is_forgotten() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let nobody = Gathered {
            servers: Vec::new(),
            missing: Vec::new(),
            complete: false,
        };
        meter.measure(&[server(1)], &gathered(part(0, 100, json!({}))), now);
        assert!(
            meter
                .measure(&[server(1)], &nobody, now + Duration::from_secs(1))
                .is_empty()
        );
        let again = gathered(part(0, 300, json!({})));
        let found = meter.measure(&[server(1)], &again, now + Duration::from_secs(4));
        assert_eq!(found.values().next().expect("rates").rates.publishes, 50.0);
        meter.measure(&[], &nobody, now + Duration::from_secs(5));
        assert!(meter.before.is_empty());
    }
}
