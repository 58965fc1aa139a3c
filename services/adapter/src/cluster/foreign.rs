//! Servers of another cluster that use the same channels, by mistake. Their beacons change nothing here; the younger of the two
//! clusters gives way.
//!
//! A cluster is as old as its oldest server, so that a young server of the older cluster stays. One beacon proves nothing, as it may
//! be an old one that a node held back: a server lives if its beacons come for a while. State without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::beacon::Beacon;
use crate::wire::{ClusterId, Instance, ServerName};

/// A server surely lives if later beacons of it come after this time.
const CERTAIN: Duration = Duration::from_millis(500);
/// A server that is silent for this long is gone.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// Most servers that are remembered. More change nothing.
const MOST: usize = 256;

#[derive(Debug)]
struct Sighting {
    server: ServerName,
    cluster: ClusterId,
    number: u64,
    first: Instant,
    last: Instant,
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
        let is_full = self.0.len() >= MOST;
        match self.0.get_mut(&beacon.instance) {
            Some(known) => {
                if beacon.number > known.number {
                    (known.number, known.last) = (beacon.number, now);
                }
                false
            }
            None if is_full => false,
            None => {
                let sighting = Sighting {
                    server: beacon.name.clone(),
                    cluster: beacon.cluster_id.clone(),
                    number: beacon.number,
                    first: now,
                    last: now,
                };
                self.0.insert(beacon.instance, sighting);
                true
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this server must give way; `ours` is the oldest server of its cluster.
    pub(crate) fn claim(&mut self, ours: Instance, now: Instant) -> Claim {
        self.0
            .retain(|_, sighting| now.saturating_duration_since(sighting.last) <= FORGOTTEN);
        let mut older = self.0.range(..ours).map(|(_, sighting)| sighting).peekable();
        if older.peek().is_none() {
            return Claim::None;
        }
        match older.find(|sighting| sighting.last.saturating_duration_since(sighting.first) >= CERTAIN) {
            Some(sighting) => Claim::Certain(sighting.server.clone(), sighting.cluster.clone()),
            None => Claim::Possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: Instance = Instance(10);

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
            foreign.claim(Instance(4), at(now, 1000)),
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
}
