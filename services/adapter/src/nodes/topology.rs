//! The topology: the nodes of the cluster. A map that converges on all servers, in whatever order changes arrive.
//!
//! Maps are merged entry by entry, by maximum of (epoch, state, URL): a node goes from active through draining to gone,
//! and comes back with a higher epoch. Credentials are not part of it. State without I/O; the time is passed in.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::select::MAX_NODES;
use crate::wire::NodeId;

/// More entries than any cluster has, including gone ones, and a higher epoch than any cluster reaches. Entries of a
/// broken or hostile program beyond these are ignored.
const MOST: usize = 512;
const LAST_EPOCH: u64 = 1 << 32;

/// The state of a node, as it travels in beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// In use.
    Active,
    /// Senders no longer use it; subscribers stay for the replay window.
    Draining,
    /// No longer in use.
    Gone,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Increased each time the node comes back.
    pub(crate) epoch: u64,
    pub(crate) state: Phase,
    /// The URL for servers that have no URL of their own for the node.
    pub(crate) url: String,
}

/// The nodes by id, as they travel in beacons.
pub(crate) type Entries = BTreeMap<NodeId, Entry>;

/// Why a change was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// There is no such node.
    Unknown,
    /// The id belongs to a node with this other URL.
    Elsewhere(String),
    /// No other node is active.
    Last,
}

/// This server's map of nodes.
#[derive(Debug, Default)]
pub(crate) struct Topology {
    entries: Entries,
    draining_since: HashMap<NodeId, Instant>,
}

impl Topology {
    /// Starts with the nodes from this server's configuration.
    pub(crate) fn new(seeds: impl IntoIterator<Item = (NodeId, String)>) -> Self {
        let active = |(id, url)| {
            let entry = Entry {
                epoch: 1,
                state: Phase::Active,
                url,
            };
            (id, entry)
        };
        Self {
            entries: seeds.into_iter().map(active).collect(),
            draining_since: HashMap::new(),
        }
    }

    pub(crate) fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The nodes that senders may use.
    pub(crate) fn active(&self) -> impl Iterator<Item = &NodeId> {
        let active = self.entries.iter().filter(|(_, entry)| entry.state == Phase::Active);
        active.map(|(id, _)| id)
    }

    /// Merges another server's map; `true` if anything changed.
    pub(crate) fn merge(&mut self, other: &Entries, now: Instant) -> bool {
        let mut news = false;
        for (id, theirs) in other {
            let new = !self.entries.contains_key(id);
            if theirs.epoch > LAST_EPOCH || new && self.entries.len() >= MOST {
                continue;
            }
            if self.entries.get(id).is_none_or(|ours| theirs > ours) {
                self.set(id, theirs.clone(), now);
                news = true;
            }
        }
        news
    }

    /// Adds nodes that are not in the map, with the first epoch, so that whatever other servers know about them counts: a node
    /// that was drained stays gone. Returns those that were added.
    pub(crate) fn suggest(&mut self, nodes: impl IntoIterator<Item = (NodeId, String)>, now: Instant) -> Vec<NodeId> {
        let mut added = Vec::new();
        for (id, url) in nodes {
            let in_use = self.entries.values().filter(|entry| entry.state != Phase::Gone).count();
            if self.entries.contains_key(&id) || self.entries.len() >= MOST || in_use >= MAX_NODES {
                continue;
            }
            let entry = Entry {
                epoch: 1,
                state: Phase::Active,
                url,
            };
            self.set(&id, entry, now);
            added.push(id);
        }
        added
    }

    /// Adds a node; `false` if it is active already.
    pub(crate) fn add(&mut self, id: &NodeId, url: &str, now: Instant) -> Result<bool, Rejected> {
        let epoch = match self.entries.get(id) {
            Some(entry) if entry.state == Phase::Active && entry.url == url => return Ok(false),
            Some(entry) if entry.state != Phase::Gone && entry.url != url => {
                return Err(Rejected::Elsewhere(entry.url.clone()));
            }
            Some(entry) => entry.epoch + 1,
            None => 1,
        };
        let entry = Entry {
            epoch,
            state: Phase::Active,
            url: url.to_owned(),
        };
        self.set(id, entry, now);
        Ok(true)
    }

    /// Starts to drain a node; `false` if it is not active.
    pub(crate) fn drain(&mut self, id: &NodeId, now: Instant) -> Result<bool, Rejected> {
        let entry = self.entries.get(id).ok_or(Rejected::Unknown)?.clone();
        if entry.state != Phase::Active {
            return Ok(false);
        }
        if self.active().all(|other| other == id) {
            return Err(Rejected::Last);
        }
        let state = Phase::Draining;
        self.set(id, Entry { state, ..entry }, now);
        Ok(true)
    }

    /// Ends the draining of nodes after the window, and makes sure that a node is active; `true` if anything changed.
    pub(crate) fn tick(&mut self, now: Instant, window: Duration) -> bool {
        let mut changed = false;
        if self.active().next().is_none() {
            // Two drains met, perhaps only after a network partition. Every server reactivates the same node: the
            // smallest id that is still draining, else the smallest id.
            let chosen = self.draining().next().or_else(|| self.entries.iter().next());
            if let Some((id, entry)) = chosen.map(|(id, entry)| (id.clone(), entry.clone())) {
                let (epoch, state) = (entry.epoch + 1, Phase::Active);
                self.set(&id, Entry { epoch, state, ..entry }, now);
                changed = true;
            }
        }
        let done = |id: &NodeId| {
            let since = self.draining_since.get(id).copied().unwrap_or(now);
            now.saturating_duration_since(since) > window
        };
        let gone: Vec<NodeId> = self.draining().map(|(id, _)| id.clone()).filter(done).collect();
        for id in gone {
            if let Some(entry) = self.entries.get(&id).cloned() {
                let state = Phase::Gone;
                self.set(&id, Entry { state, ..entry }, now);
                changed = true;
            }
        }
        changed
    }

    fn draining(&self) -> impl Iterator<Item = (&NodeId, &Entry)> {
        self.entries.iter().filter(|(_, entry)| entry.state == Phase::Draining)
    }

    fn set(&mut self, id: &NodeId, entry: Entry, now: Instant) {
        if entry.state == Phase::Draining {
            self.draining_since.insert(id.clone(), now);
        } else {
            self.draining_since.remove(id);
        }
        self.entries.insert(id.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(6);

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("valid")
    }

    fn topology(ids: &[&str]) -> (Topology, Instant) {
        let seeds = ids.iter().map(|name| (id(name), format!("redis://{name}")));
        (Topology::new(seeds), Instant::now())
    }

    fn state(topology: &Topology, name: &str) -> Option<(u64, Phase)> {
        topology.entries.get(&id(name)).map(|entry| (entry.epoch, entry.state))
    }

    #[test]
    fn a_drained_node_is_gone_after_the_window_and_returns_with_a_higher_epoch() {
        let (mut map, now) = topology(&["a", "b"]);
        assert_eq!(map.drain(&id("a"), now), Ok(true));
        assert_eq!(map.drain(&id("a"), now), Ok(false), "a second time");
        assert!(!map.tick(now + WINDOW, WINDOW));
        assert!(map.tick(now + WINDOW + Duration::from_millis(1), WINDOW));
        assert_eq!(state(&map, "a"), Some((1, Phase::Gone)));
        assert_eq!(map.add(&id("a"), "redis://elsewhere", now), Ok(true));
        assert_eq!(state(&map, "a"), Some((2, Phase::Active)));
    }

    #[test]
    fn changes_of_the_last_node_an_unknown_node_and_a_node_with_another_url_are_rejected() {
        let (mut map, now) = topology(&["a", "b"]);
        assert_eq!(map.drain(&id("c"), now), Err(Rejected::Unknown));
        assert_eq!(
            map.add(&id("a"), "redis://x", now),
            Err(Rejected::Elsewhere("redis://a".into()))
        );
        assert_eq!(map.add(&id("a"), "redis://a", now), Ok(false));
        assert_eq!(map.drain(&id("a"), now), Ok(true));
        assert_eq!(map.drain(&id("b"), now), Err(Rejected::Last));
        assert_eq!(map.add(&id("a"), "redis://a", now), Ok(true), "the drain is cancelled");
        assert_eq!(state(&map, "a"), Some((2, Phase::Active)));
    }

    #[test]
    fn a_suggested_node_is_added_only_if_it_is_unknown_and_what_others_know_counts() {
        let (mut map, now) = topology(&["a"]);
        let suggested = |names: &[&str]| {
            names
                .iter()
                .map(|name| (id(name), format!("redis://found/{name}")))
                .collect::<Vec<_>>()
        };
        assert_eq!(map.suggest(suggested(&["a", "b", "b"]), now), [id("b")]);
        assert_eq!(map.entries[&id("a")].url, "redis://a", "a known node keeps its URL");
        assert_eq!(state(&map, "b"), Some((1, Phase::Active)));
        // Another server drained it before: that is newer than any suggestion.
        let gone = Entry {
            epoch: 1,
            state: Phase::Gone,
            url: "redis://found/b".to_owned(),
        };
        assert!(map.merge(&Entries::from([(id("b"), gone)]), now));
        assert!(map.suggest(suggested(&["b"]), now).is_empty());
        assert_eq!(state(&map, "b"), Some((1, Phase::Gone)));
        let many: Vec<String> = (0..100).map(|n| format!("n{n:03}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            map.suggest(suggested(&many), now).len(),
            MAX_NODES - 1,
            "no more than can be used"
        );
    }

    #[test]
    fn after_two_concurrent_drains_the_node_with_the_smallest_id_is_active_again() {
        let (mut one, now) = topology(&["a", "b"]);
        let (mut two, _) = topology(&["a", "b"]);
        one.drain(&id("a"), now).expect("b is active");
        two.drain(&id("b"), now).expect("a is active");
        one.merge(two.entries(), now);
        assert_eq!(one.active().count(), 0);
        assert!(one.tick(now, WINDOW));
        assert_eq!(one.active().collect::<Vec<_>>(), [&id("a")]);
    }

    #[test]
    fn impossible_epochs_and_too_many_entries_are_ignored() {
        let (mut map, now) = topology(&["a"]);
        let gone = |epoch| Entry {
            epoch,
            state: Phase::Gone,
            url: String::new(),
        };
        assert!(!map.merge(&Entries::from([(id("a"), gone(u64::MAX))]), now));
        let many = (0..2000).map(|n| (id(&n.to_string()), gone(1)));
        map.merge(&many.collect(), now);
        assert_eq!(map.entries.len(), MOST);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(usize, usize, usize),
        Drain(usize, usize),
        Tell(usize, usize),
        Wait(usize, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4usize, 0..4usize, 0..2usize).prop_map(|(s, n, url)| Step::Add(s, n, url)),
            (0..4usize, 0..4usize).prop_map(|(s, n)| Step::Drain(s, n)),
            (0..4usize, 0..4usize).prop_map(|(from, to)| Step::Tell(from, to)),
            (0..4usize, 0..9000u64).prop_map(|(s, ms)| Step::Wait(s, ms)),
        ]
    }

    proptest! {
        /// Whatever changes are made, on whichever servers, and however they spread: in the end all maps are equal and
        /// a node is active.
        #[test]
        fn changes_converge_in_whatever_order_they_spread(steps in proptest::collection::vec(step(), 1..60)) {
            let names = ["a", "b", "c", "d"];
            let start = Instant::now();
            let mut maps: Vec<Topology> = (0..4).map(|_| topology(&names[..2]).0).collect();
            let mut clocks = [start; 4];
            for step in steps {
                match step {
                    Step::Add(s, n, url) => { let _ = maps[s].add(&id(names[n]), ["redis://u", "redis://v"][url], clocks[s]); }
                    Step::Drain(s, n) => { let _ = maps[s].drain(&id(names[n]), clocks[s]); }
                    Step::Tell(from, to) => { let news = maps[from].entries().clone(); maps[to].merge(&news, clocks[to]); }
                    Step::Wait(s, ms) => { clocks[s] += Duration::from_millis(ms); maps[s].tick(clocks[s], WINDOW); }
                }
            }
            for round in 0..12 {
                for from in 0..4 {
                    clocks[from] += Duration::from_secs(2);
                    let now = clocks[from];
                    maps[from].tick(now, WINDOW);
                    let news = maps[from].entries().clone();
                    for to in 0..4 {
                        maps[to].merge(&news, clocks[to]);
                    }
                }
                if round > 9 {
                    prop_assert!(maps.iter().all(|map| map.entries() == maps[0].entries()));
                }
            }
            for map in &maps {
                prop_assert_eq!(map.entries(), maps[0].entries());
                prop_assert!(map.active().next().is_some());
            }
        }
    }
}
