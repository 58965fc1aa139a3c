//! Which Redis nodes are slow: by how long the probes take that servers send through them. Pure.
//!
//! Of a node counts the median: over all servers, because one that is busy itself measures too much through every node; and over some
//! samples, because one probe says little. Slow is not down: such a node is heard, and carries messages.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use wsmesh_adapter::NodeId;

/// A Redis in the same network takes less than 2 ms; one that takes this long delays every message more than anything else does.
const SLOW_MS: f64 = 100.0;
/// A node that takes so many times as long as the fastest one is slow, too,
const TIMES: f64 = 5.0;
/// if that is this much at least: less is not felt.
const FELT_MS: f64 = 10.0;
/// How many samples count.
const SAMPLES: usize = 5;

/// How long a probe takes through each node, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RoundTrips(BTreeMap<NodeId, f64>);

/// A node is slow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slow {
    pub(crate) ms: f64,
    /// The fastest node, if that is another one that is not slow.
    pub(crate) fastest: Option<(NodeId, f64)>,
}

impl RoundTrips {
    /// The median of each node's measurements.
    pub(crate) fn of<'a>(measured: impl IntoIterator<Item = (&'a NodeId, f64)>) -> Self {
        let mut of_nodes: BTreeMap<&NodeId, Vec<f64>> = BTreeMap::new();
        for (node, ms) in measured {
            of_nodes.entry(node).or_default().push(ms);
        }
        let medians = of_nodes
            .into_iter()
            .filter_map(|(node, all)| Some((node.clone(), median(all)?)));
        Self(medians.collect())
    }

    pub(crate) fn ms(&self, node: &NodeId) -> Option<f64> {
        self.0.get(node).copied()
    }

    /// Whether a node is slow, and compared with what.
    pub(crate) fn slow(&self, node: &NodeId) -> Option<Slow> {
        let ms = self.ms(node)?;
        let (fastest, least) = self.0.iter().min_by(|a, b| a.1.total_cmp(b.1))?;
        let is_slower = ms >= FELT_MS && ms >= TIMES * least;
        (is_slower || ms >= SLOW_MS).then(|| Slow {
            ms,
            fastest: is_slower.then(|| (fastest.clone(), *least)),
        })
    }
}

/// What is so, as the end of a sentence about the node.
impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a probe takes {} through it", Ms(self.ms))?;
        match &self.fastest {
            Some((node, ms)) => write!(f, ", and {} through {node}", Ms(*ms)),
            None => write!(f, "; {} or more is slow", Ms(SLOW_MS)),
        }
    }
}

struct Ms(f64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.0 < 10.0);
        write!(f, "{:.digits$} ms", self.0)
    }
}

/// The last samples of each node.
#[derive(Debug, Default)]
pub(crate) struct RecentRoundTrips {
    of_nodes: BTreeMap<NodeId, VecDeque<f64>>,
}

impl RecentRoundTrips {
    /// One more sample. A node that nobody measured in it begins anew.
    pub(crate) fn note(&mut self, sample: &RoundTrips) {
        self.of_nodes.retain(|node, _| sample.0.contains_key(node));
        for (node, ms) in &sample.0 {
            let last = self.of_nodes.entry(node.clone()).or_default();
            if last.len() == SAMPLES {
                last.pop_front();
            }
            last.push_back(*ms);
        }
    }

    /// The median of the last samples.
    pub(crate) fn median(&self) -> RoundTrips {
        RoundTrips::of(
            self.of_nodes
                .iter()
                .flat_map(|(node, last)| last.iter().map(move |ms| (node, *ms))),
        )
    }
}

/// The lower one of two in the middle.
fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    all.get(all.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::new(text).expect("an id")
    }

    fn measured(of: &[(&str, f64)]) -> RoundTrips {
        let ids: Vec<_> = of.iter().map(|(node, ms)| (id(node), *ms)).collect();
        RoundTrips::of(ids.iter().map(|(node, ms)| (node, *ms)))
    }

    #[test]
    fn a_node_is_slow_above_the_limit_or_several_times_slower_than_the_fastest() {
        for (ms, fastest, said) in [
            (9.9, 0.3, None),
            (12.0, 0.34, Some("a probe takes 12 ms through it, and 0.3 ms through a")),
            (12.0, 3.0, None),
            (99.0, 90.0, None),
            (
                130.0,
                110.0,
                Some("a probe takes 130 ms through it; 100 ms or more is slow"),
            ),
            (
                600.0,
                60.0,
                Some("a probe takes 600 ms through it, and 60 ms through a"),
            ),
        ] {
            let slow = measured(&[("a", fastest), ("b", ms)]).slow(&id("b"));
            assert_eq!(slow.map(|slow| slow.to_string()).as_deref(), said, "{ms} {fastest}");
        }
        let alone = measured(&[("a", 170.0)]);
        assert_eq!(alone.slow(&id("a")).map(|slow| slow.fastest), Some(None));
        assert_eq!((alone.slow(&id("b")), alone.ms(&id("b"))), (None, None));
    }

    #[test]
    fn one_busy_server_and_one_late_probe_make_no_node_slow() {
        let busy = measured(&[
            ("a", 0.4),
            ("a", 0.5),
            ("a", 300.0),
            ("b", 0.4),
            ("b", 0.5),
            ("b", 310.0),
        ]);
        assert_eq!((busy.ms(&id("a")), busy.slow(&id("b"))), (Some(0.5), None));
        let mut recent = RecentRoundTrips::default();
        for ms in [0.4, 0.4, 900.0, 0.5, 900.0] {
            recent.note(&measured(&[("a", 0.4), ("b", ms)]));
        }
        assert_eq!(recent.median().slow(&id("b")), None);
        for _ in 0..2 {
            recent.note(&measured(&[("a", 0.4), ("b", 900.0)]));
        }
        assert!(recent.median().slow(&id("b")).is_some(), "that lasts");
    }

    #[test]
    fn a_node_that_was_away_is_judged_by_what_was_measured_since() {
        let mut recent = RecentRoundTrips::default();
        for _ in 0..9 {
            recent.note(&measured(&[("a", 0.4), ("b", 900.0)]));
        }
        recent.note(&measured(&[("a", 0.4)]));
        assert_eq!(recent.median(), measured(&[("a", 0.4)]));
        recent.note(&measured(&[("a", 0.4), ("b", 0.6)]));
        assert_eq!(recent.median().ms(&id("b")), Some(0.6));
    }
}
