//! Servers of another cluster that use the same channels, by mistake. Their beacons change nothing here; the cluster of lower
//! standing gives way, whole clusters being compared, so that a young server of the other one stays.
//!
//! A cluster in which servers count stands above one that only starts, and one with several of them above one that is alone: a
//! release that cannot start, or a single server, ends no cluster at work. Among equals, the one with the oldest server stays. One
//! beacon proves nothing, as it may be an old one that a node held back: a server lives if its beacons come for a while. State
//! without I/O.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::beacon::Beacon;
use crate::wire::{ClusterId, Instance, ServerName};

/// A server surely lives if later beacons of it come after this time.
const CERTAIN: Duration = Duration::from_millis(500);
/// A server that is silent for this long is gone.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Most servers that are remembered: the oldest ones.
const MOST: usize = 256;

#[derive(Debug)]
struct Sighting {
    server: ServerName,
    cluster: ClusterId,
    number: u64,
    counts: bool,
    first: Instant,
    last: Instant,
}

/// What a cluster has to say for itself. The greater one stays, whoever compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    /// None of its servers counts, one does, or several do.
    counted: u8,
    oldest: Reverse<Instance>,
}

impl Standing {
    /// Of a cluster with these servers, each with whether it counts; none without servers.
    pub(crate) fn of(servers: impl IntoIterator<Item = (Instance, bool)>) -> Option<Self> {
        const SEVERAL: u8 = 2;
        let one = |(instance, counts)| Self {
            counted: u8::from(counts),
            oldest: Reverse(instance),
        };
        servers.into_iter().map(one).reduce(|a, b| Self {
            counted: (a.counted + b.counted).min(SEVERAL),
            oldest: a.oldest.max(b.oldest),
        })
    }
}

/// Whether this server must give way to another cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// No.
    None,
    /// Perhaps: until that is certain, it must not begin to serve.
    Possible,
    /// Yes, to the cluster of this server.
    Certain(ServerName, ClusterId),
}

/// The servers of other clusters that use this one's channels.
#[derive(Debug, Default)]
pub(crate) struct Foreign(BTreeMap<Instance, Sighting>);

impl Foreign {
    /// Takes the beacon of a server whose cluster id does not fit. Returns whether the server is new.
    pub(crate) fn on_beacon(&mut self, beacon: &Beacon, now: Instant) -> bool {
        if beacon.is_goodbye() {
            self.0.remove(&beacon.instance);
            return false;
        }
        match self.0.get_mut(&beacon.instance) {
            Some(known) => {
                if beacon.number > known.number {
                    (known.number, known.counts, known.last) = (beacon.number, beacon.counted, now);
                }
                false
            }
            None => {
                let is_full = self.0.len() >= MOST;
                if is_full
                    && self
                        .0
                        .last_key_value()
                        .is_some_and(|(youngest, _)| *youngest < beacon.instance)
                {
                    return false;
                }
                let sighting = Sighting {
                    server: beacon.name.clone(),
                    cluster: beacon.cluster_id.clone(),
                    number: beacon.number,
                    counts: beacon.counted,
                    first: now,
                    last: now,
                };
                self.0.insert(beacon.instance, sighting);
                if is_full {
                    self.0.pop_last();
                }
                // Else someone who invents servers fills the log.
                !is_full
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this server must give way; `ours` is the standing of its cluster.
    pub(crate) fn claim(&mut self, ours: Standing, now: Instant) -> Claim {
        self.0
            .retain(|_, sighting| now.saturating_duration_since(sighting.last) <= FORGOTTEN);
        let is_certain = |seen: &Sighting| seen.last.saturating_duration_since(seen.first) >= CERTAIN;
        let stays = |of: &ClusterId, is_seen: &dyn Fn(&Sighting) -> bool| {
            let servers = self.0.iter().filter(|(_, seen)| seen.cluster == *of && is_seen(seen));
            Standing::of(servers.map(|(instance, seen)| (*instance, seen.counts))).is_some_and(|theirs| theirs > ours)
        };
        let clusters: BTreeSet<_> = self.0.values().map(|seen| &seen.cluster).collect();
        match clusters.iter().find(|cluster| stays(cluster, &is_certain)) {
            Some(cluster) => {
                let mut servers = self.0.values();
                let oldest = servers.find(|seen| seen.cluster == **cluster && is_certain(seen));
                oldest.map_or(Claim::Possible, |seen| {
                    Claim::Certain(seen.server.clone(), seen.cluster.clone())
                })
            }
            None if clusters.iter().any(|cluster| stays(cluster, &|_| true)) => Claim::Possible,
            None => Claim::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A server that counts, alone, as those of the other cluster do.
    const OURS: Standing = standing(1, 10);

    const fn standing(counted: u8, oldest: u64) -> Standing {
        Standing {
            counted,
            oldest: Reverse(Instance(oldest)),
        }
    }

    fn beacon(instance: u64, number: u64) -> Beacon {
        let beacon = json!({
            "format": 1, "clusterId": "theirs", "name": "x", "service": "s", "instance": instance, "version": "1", "number": number,
            "counted": true, "heard": [], "clients": 0, "rooms": 0,
        });
        serde_json::from_value(beacon).expect("a beacon")
    }

    fn at(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn an_older_server_must_be_heard_for_a_while_before_one_gives_way_to_it() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        assert!(foreign.on_beacon(&beacon(5, 1), now));
        assert_eq!(foreign.claim(OURS, now), Claim::Possible);
        assert!(!foreign.on_beacon(&beacon(5, 2), at(now, 20)));
        assert_eq!(
            foreign.claim(OURS, at(now, 900)),
            Claim::Possible,
            "they came at once, perhaps from a node that was suspended"
        );
        foreign.on_beacon(&beacon(5, 2), at(now, 950));
        assert_eq!(foreign.claim(OURS, at(now, 950)), Claim::Possible, "a copy");
        foreign.on_beacon(&beacon(5, 3), at(now, 1000));
        let theirs = ClusterId::new("theirs").expect("valid");
        let server = ServerName::new("x").expect("valid");
        assert_eq!(foreign.claim(OURS, at(now, 1000)), Claim::Certain(server, theirs));
        assert_eq!(
            foreign.claim(standing(1, 4), at(now, 1000)),
            Claim::None,
            "this cluster has an older server"
        );
    }

    #[test]
    fn nobody_gives_way_to_a_younger_server_or_to_one_that_left_or_fell_silent() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        for number in 1..5 {
            foreign.on_beacon(&beacon(11, number), at(now, number * 1000));
        }
        assert_eq!(foreign.claim(OURS, at(now, 4000)), Claim::None);
        foreign.on_beacon(&beacon(5, 1), now);
        let mut goodbye = beacon(5, 2);
        goodbye.parting = super::super::beacon::Parting::Leaving;
        foreign.on_beacon(&goodbye, now);
        assert_eq!(foreign.claim(OURS, now), Claim::None);
        foreign.on_beacon(&beacon(6, 1), now);
        assert_eq!(foreign.claim(OURS, at(now, 10_001)), Claim::None);
    }

    #[test]
    fn only_some_servers_are_remembered() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        let news = (0..2000).filter(|instance| foreign.on_beacon(&beacon(*instance, 1), now));
        assert_eq!(news.count(), MOST);
    }

    #[test]
    fn when_the_book_is_full_the_oldest_servers_stay_in_it() {
        let (mut foreign, now) = (Foreign::default(), Instant::now());
        let news = (0..2000).filter(|instance| foreign.on_beacon(&beacon(5000 - *instance, 1), now));
        assert_eq!(news.count(), MOST, "the others are not told");
        assert_eq!(foreign.0.len(), MOST);
        assert_eq!(foreign.0.first_key_value().map(|(oldest, _)| oldest.0), Some(3001));
        assert!(!foreign.on_beacon(&beacon(6000, 1), now));
        assert!(foreign.0.keys().all(|instance| instance.0 < 4000));
    }

    /// A cluster that was heard for a while: its servers, each with whether it counts.
    fn heard(servers: &[(u64, bool)], now: Instant) -> Foreign {
        let mut foreign = Foreign::default();
        for (instance, counted) in servers {
            for number in [1, 2] {
                let beacon = Beacon {
                    counted: *counted,
                    ..beacon(*instance, number)
                };
                foreign.on_beacon(&beacon, at(now, number * 1000));
            }
        }
        foreign
    }

    #[test]
    fn a_cluster_at_work_does_not_give_way_to_an_older_server_that_starts_or_is_alone() {
        let now = Instant::now();
        let is_given_way = |ours: &[(u64, bool)], theirs: &[(u64, bool)]| {
            let servers = ours.iter().map(|(instance, counts)| (Instance(*instance), *counts));
            let ours = Standing::of(servers).expect("servers");
            match heard(theirs, now).claim(ours, at(now, 2000)) {
                Claim::None => false,
                Claim::Certain(..) => true,
                Claim::Possible => panic!("they were heard for long enough"),
            }
        };
        let at_work = [(10, true), (11, true), (12, false)];
        // The other cluster, and whether it stays.
        for (theirs, stays) in [
            (&[(1, false)][..], false),
            (&[(1, false), (2, false), (3, false)], false),
            (&[(1, true), (2, false)], false),
            (&[(1, true), (2, true)], true),
            (&[(20, true), (21, true), (22, true)], false),
        ] {
            assert_eq!(is_given_way(&at_work, theirs), stays, "{theirs:?}");
            assert_eq!(
                is_given_way(theirs, &at_work),
                !stays,
                "just one of both stays: {theirs:?}"
            );
        }
        assert!(
            !is_given_way(&[(10, true)], &[(1, false)]),
            "a server alone, and one that starts"
        );
        assert!(is_given_way(&[(10, true)], &[(1, true)]), "equal: the older one stays");
        assert!(
            is_given_way(&[(10, false)], &[(1, false)]),
            "equal: the older one stays"
        );
    }

    #[test]
    fn servers_of_different_clusters_do_not_stand_together() {
        let now = Instant::now();
        let mut foreign = heard(&[(1, true)], now);
        for number in [1, 2] {
            let mut third = beacon(2, number);
            third.cluster_id = ClusterId::new("third").expect("valid");
            foreign.on_beacon(&third, at(now, number * 1000));
        }
        assert_eq!(foreign.claim(standing(2, 10), at(now, 2000)), Claim::None);
    }
}
