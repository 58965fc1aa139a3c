//! Which Redis each node's link leads to, by its run id. Learned at every connect, forgotten when the connection ends.
//!
//! Active nodes with one run id are one Redis: only the one with the smallest id is used. A run id that nobody says proves
//! nothing. State without I/O.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::wire::{NodeId, RunId, Runs};

#[derive(Debug, Default)]
struct State {
    /// Each with the slot of its link: while a node moves to another URL, there are two.
    runs: BTreeMap<NodeId, (usize, RunId)>,
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

    /// The link in this slot has connected, to this run as far as it says, or has ended. Returns whether that changes what is known.
    pub(crate) fn note(&self, node: &NodeId, slot: usize, run: Option<RunId>) -> bool {
        let mut state = self.0.lock();
        let known = state.runs.get(node);
        match run {
            Some(run) => {
                let is_news = known.is_none_or(|(_, known)| *known != run);
                state.runs.insert(node.clone(), (slot, run));
                is_news
            }
            None => known.is_some_and(|(of, _)| *of == slot) && state.runs.remove(node).is_some(),
        }
    }

    /// The node that is used in place of this one, because both are this one Redis.
    pub(crate) fn twin(&self, node: &NodeId, run: &RunId) -> Option<NodeId> {
        let state = self.0.lock();
        if !state.active.contains(node) {
            return None;
        }
        let mut others = state.active.range::<NodeId, _>(..node);
        let is_same = |other: &&NodeId| state.runs.get(*other).is_some_and(|(_, known)| known == run);
        others.find(is_same).cloned()
    }

    /// What is known, for other servers.
    pub(crate) fn all(&self) -> Runs {
        let runs = &self.0.lock().runs;
        runs.iter()
            .map(|(node, (_, run))| (node.clone(), run.clone()))
            .collect()
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
            assert!(runs.note(&node(id), 0, Some(run("0f7a6b5c"))));
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
        assert!(runs.note(&node("a"), 0, Some(run("0f7a6b5c"))) && !runs.note(&node("a"), 0, Some(run("0f7a6b5c"))));
        assert!(runs.note(&node("a"), 0, Some(run("99999998"))), "it was restarted");
        assert_eq!(runs.all().of(&node("a")), Some(&run("99999998")));
        assert!(runs.note(&node("a"), 0, None) && !runs.note(&node("a"), 0, None) && runs.all().is_empty());
    }

    #[test]
    fn the_end_of_a_link_that_was_replaced_forgets_nothing() {
        let runs = RunsInUse::default();
        runs.note(&node("a"), 0, Some(run("0f7a6b5c")));
        assert!(
            runs.note(&node("a"), 1, Some(run("99999998"))),
            "it moved to another URL"
        );
        assert!(!runs.note(&node("a"), 0, None));
        assert_eq!(runs.all().of(&node("a")), Some(&run("99999998")));
    }
}
