//! Which Redis each node's link leads to, by its run id. Learned at every connect, forgotten when the connection ends.
//!
//! Active nodes with one run id are one Redis: only the one with the smallest id is used. A run id that nobody says proves
//! nothing. State without I/O.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::wire::{NodeId, RunId, Runs};

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<NodeId, RunId>,
    active: BTreeSet<NodeId>,
}

/// The runs of Redis that this server is connected to.
#[derive(Debug, Default)]
pub(crate) struct RunsInUse(Mutex<State>);

impl RunsInUse {
    /// These nodes are active; the others are draining or gone.
    pub(crate) fn set_active(&self, active: impl Iterator<Item = NodeId>) {
        self.0.lock().active = active.collect();
    }

    /// A link has connected, to this run as far as it says, or has ended. Returns whether that changes what is known.
    pub(crate) fn note(&self, node: &NodeId, run: Option<RunId>) -> bool {
        let mut state = self.0.lock();
        match run {
            Some(run) => state.runs.insert(node.clone(), run.clone()) != Some(run),
            None => state.runs.remove(node).is_some(),
        }
    }

    /// The node that is used in place of this one, because both are this one Redis.
    pub(crate) fn twin(&self, node: &NodeId, run: &RunId) -> Option<NodeId> {
        let state = self.0.lock();
        if !state.active.contains(node) {
            return None;
        }
        let mut others = state.active.range::<NodeId, _>(..node);
        others.find(|other| state.runs.get(*other) == Some(run)).cloned()
    }

    /// What is known, for other servers.
    pub(crate) fn all(&self) -> Runs {
        let runs = &self.0.lock().runs;
        runs.iter().map(|(node, run)| (node.clone(), run.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> NodeId {
        NodeId::new(id).expect("valid")
    }

    fn run(text: &str) -> RunId {
        RunId::new(text).expect("valid")
    }

    #[test]
    fn of_several_active_nodes_that_are_one_redis_only_the_smallest_id_is_used() {
        let runs = RunsInUse::default();
        runs.set_active(["a", "b", "c"].map(node).into_iter());
        for id in ["c", "b", "a"] {
            assert!(runs.note(&node(id), Some(run("0f7a6b5c"))));
        }
        let twin = |id| runs.twin(&node(id), &run("0f7a6b5c"));
        assert_eq!(
            (twin("a"), twin("b"), twin("c")),
            (None, Some(node("a")), Some(node("a")))
        );
        assert_eq!(runs.twin(&node("b"), &run("99999998")), None, "another Redis");
        runs.set_active(["b", "c"].map(node).into_iter());
        let twin = |id| runs.twin(&node(id), &run("0f7a6b5c"));
        assert_eq!(
            (twin("a"), twin("b"), twin("c")),
            (None, None, Some(node("b"))),
            "a is draining"
        );
    }

    #[test]
    fn a_run_is_news_once_and_forgotten_with_its_connection() {
        let runs = RunsInUse::default();
        assert!(runs.note(&node("a"), Some(run("0f7a6b5c"))) && !runs.note(&node("a"), Some(run("0f7a6b5c"))));
        assert!(runs.note(&node("a"), Some(run("99999998"))), "it was restarted");
        assert_eq!(runs.all().of(&node("a")), Some(&run("99999998")));
        assert!(runs.note(&node("a"), None) && !runs.note(&node("a"), None) && runs.all().is_empty());
    }
}
