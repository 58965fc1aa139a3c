//! What is to be done next so that a StatefulSet has the replicas that were asked for. A pure function of what there is: an admin that
//! takes over in the middle goes on where the other one was.

use wsmesh_adapter::NodeId;

use crate::jobs::{NodeProgress, Replicas};

/// The next step of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// This node must leave, before the ones with lower ordinals.
    Drain(NodeId),
    /// All nodes that go have left, or some shall come: change the replicas.
    Scale,
    /// The nodes that come are not used by every server yet.
    Wait,
    Done,
    Fail(String),
}

/// The next step, if the StatefulSet has `now` replicas and the nodes that come or go are so far.
pub(super) fn next(replicas: Replicas, now: u32, nodes: &[NodeProgress]) -> Step {
    let Replicas { from, to } = replicas;
    if now != from && now != to {
        return Step::Fail(format!(
            "the StatefulSet was given {now} replicas by someone else while it was being scaled from {from} to {to}; look who else \
             changes it (kubectl scale, an autoscaler, a tool that applies manifests), then scale again"
        ));
    }
    let waiting = nodes.iter().find(|node| !node.done);
    match (replicas.is_down(), waiting) {
        (true, Some(node)) => Step::Drain(node.node.clone()),
        (false, _) if now == from => Step::Scale,
        (true, None) if now == from => Step::Scale,
        (false, Some(_)) => Step::Wait,
        (_, None) => Step::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(done: &[(&str, bool)]) -> Vec<NodeProgress> {
        let node = |(node, done): &(&str, bool)| NodeProgress {
            node: NodeId::new(*node).expect("an id"),
            state: None,
            done: *done,
        };
        done.iter().map(node).collect()
    }

    fn step(from: u32, to: u32, now: u32, done: &[(&str, bool)]) -> Step {
        next(Replicas { from, to }, now, &nodes(done))
    }

    #[test]
    fn nodes_leave_from_the_highest_ordinal_down_and_then_the_pods_go() {
        let drain = |node: &str| Step::Drain(NodeId::new(node).expect("an id"));
        let of = |now, four, three| step(5, 3, now, &[("redis-4", four), ("redis-3", three)]);
        assert_eq!(of(5, false, false), drain("redis-4"));
        assert_eq!(of(5, true, false), drain("redis-3"));
        assert_eq!(of(5, true, true), Step::Scale);
        assert_eq!(of(3, true, true), Step::Done);
        assert_eq!(
            of(3, true, false),
            drain("redis-3"),
            "its pod goes, and it is still a node"
        );
    }

    #[test]
    fn pods_come_first_and_then_their_nodes_are_waited_for() {
        let of = |now, three, four| step(3, 5, now, &[("redis-3", three), ("redis-4", four)]);
        assert_eq!(of(3, false, false), Step::Scale);
        assert_eq!(of(5, true, false), Step::Wait);
        assert_eq!(of(5, true, true), Step::Done);
    }

    #[test]
    fn replicas_that_somebody_else_changes_meanwhile_end_the_job() {
        for now in [0, 4, 6] {
            let step = step(5, 3, now, &[("redis-4", true), ("redis-3", true)]);
            assert!(
                matches!(&step, Step::Fail(why) if why.contains(&format!("{now} replicas by someone else"))),
                "{step:?}"
            );
        }
    }
}
