//! Compares the nodes that there are with the pods that there should be. Pure: neither time nor I/O.
//!
//! Pod N of the StatefulSet must be a node if N is below its replicas, and no node otherwise. Every other node belongs to somebody else
//! and is never touched. Nothing follows from a picture that may be out of date, or has no pod at all; and the last nodes stay.

use wsmesh_adapter::{NodeId, NodeState};

use crate::discovery::{Found, FoundNode};

/// Most differences that are listed: more nodes cannot be used by far.
const MOST: u32 = 256;

/// A node of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) id: NodeId,
    pub(super) state: NodeState,
    /// The pod that it is; none if it is another Redis.
    pub(super) ordinal: Option<u32>,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Pods that are ready and no nodes yet.
    pub(super) join: Vec<FoundNode>,
    /// Nodes whose pods go.
    pub(super) leave: Vec<NodeId>,
    /// Ordinals of pods that shall be nodes and are not ready.
    pub(super) waiting: Vec<u32>,
    /// Why nothing is done, or less than should be.
    pub(super) problem: Option<String>,
}

/// What is to be done. Pods from `target` on are somebody else's business: the StatefulSet is being scaled.
pub(super) fn plan(found: &Found, seats: &[Seat], target: Option<u32>) -> Plan {
    if found.problem.is_some() {
        return Plan {
            problem: found.problem.clone(),
            ..Plan::default()
        };
    }
    let Some(replicas) = found.replicas else {
        return Plan {
            problem: Some("the replicas of the StatefulSet are not known".to_owned()),
            ..Plan::default()
        };
    };
    let wanted = target.map_or(replicas, |target| replicas.min(target));
    let mut plan = Plan::default();
    for ordinal in (0..wanted.min(MOST)).filter(|ordinal| !is_used(seats, *ordinal)) {
        match found.nodes.iter().find(|node| node.ordinal == Some(ordinal)) {
            Some(node) if node.ready => plan.join.push(node.clone()),
            _ => plan.waiting.push(ordinal),
        }
    }
    if wanted > MOST {
        plan.problem = Some(format!(
            "the StatefulSet has {replicas} replicas: so many nodes cannot be used"
        ));
    }
    leave(found, seats, replicas, &mut plan);
    plan
}

fn leave(found: &Found, seats: &[Seat], replicas: u32, plan: &mut Plan) {
    let goes = |seat: &&Seat| is_in_use(seat) && seat.ordinal.is_some_and(|ordinal| ordinal >= replicas);
    let leave: Vec<_> = seats.iter().filter(goes).map(|seat| seat.id.clone()).collect();
    if leave.is_empty() {
        return;
    }
    let stays = |seat: &Seat| seat.state == NodeState::Active && !goes(&seat);
    if found.nodes.is_empty() {
        plan.problem = Some("no pod is found behind the Service: no node is removed for that".to_owned());
    } else if !seats.iter().any(stays) {
        plan.problem = Some(format!(
            "the StatefulSet has {replicas} replicas, and no other node would stay: no node is removed"
        ));
    } else {
        plan.leave = leave;
    }
}

fn is_used(seats: &[Seat], ordinal: u32) -> bool {
    seats
        .iter()
        .any(|seat| seat.ordinal == Some(ordinal) && is_in_use(seat))
}

fn is_in_use(seat: &Seat) -> bool {
    matches!(seat.state, NodeState::Active | NodeState::Joining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ordinal: u32) -> NodeId {
        NodeId::new(format!("redis-{ordinal}")).expect("an id")
    }

    fn pod(ordinal: u32, ready: bool) -> FoundNode {
        FoundNode {
            ordinal: Some(ordinal),
            id: id(ordinal),
            url: format!("memory:redis-{ordinal}"),
            ready,
        }
    }

    fn found(replicas: u32, pods: &[(u32, bool)]) -> Found {
        Found {
            nodes: pods.iter().map(|(ordinal, ready)| pod(*ordinal, *ready)).collect(),
            replicas: Some(replicas),
            problem: None,
        }
    }

    fn seats(states: &[(u32, NodeState)]) -> Vec<Seat> {
        let seat = |(ordinal, state): &(u32, NodeState)| Seat {
            id: id(*ordinal),
            state: *state,
            ordinal: Some(*ordinal),
        };
        states.iter().map(seat).collect()
    }

    fn external(state: NodeState) -> Seat {
        Seat {
            id: NodeId::new("elsewhere").expect("an id"),
            state,
            ordinal: None,
        }
    }

    const ACTIVE: NodeState = NodeState::Active;

    #[test]
    fn a_ready_pod_that_is_no_node_joins_and_one_that_is_not_ready_is_waited_for() {
        let seats = seats(&[(0, ACTIVE), (1, NodeState::Joining)]);
        let plan = plan(&found(4, &[(0, true), (1, false), (2, true), (3, false)]), &seats, None);
        assert_eq!(
            (plan.join, plan.waiting, plan.leave),
            (vec![pod(2, true)], vec![3], vec![])
        );
        assert_eq!(plan.problem, None);
    }

    #[test]
    fn a_node_that_was_removed_or_is_being_removed_joins_again_while_the_stateful_set_has_it() {
        for state in [NodeState::Gone, NodeState::Draining] {
            let seats = seats(&[(0, ACTIVE), (1, state)]);
            assert_eq!(
                plan(&found(2, &[(0, true), (1, true)]), &seats, None).join,
                [pod(1, true)]
            );
        }
    }

    #[test]
    fn nodes_that_the_stateful_set_does_not_have_any_more_leave_and_others_are_not_touched() {
        let mut seats = seats(&[(0, ACTIVE), (1, ACTIVE), (2, NodeState::Joining), (3, NodeState::Gone)]);
        seats.push(external(ACTIVE));
        let plan = plan(&found(1, &[(0, true), (1, false), (2, false)]), &seats, None);
        assert_eq!((plan.leave, plan.join), (vec![id(1), id(2)], vec![]));
    }

    #[test]
    fn a_pod_that_ends_and_comes_back_changes_nothing() {
        let seats = seats(&[(0, ACTIVE), (1, ACTIVE)]);
        for pods in [&[(0, true), (1, false)][..], &[(0, true)], &[(0, true), (1, true)]] {
            assert_eq!(plan(&found(2, pods), &seats, None), Plan::default());
        }
    }

    #[test]
    fn pods_that_a_scale_is_about_are_left_to_it() {
        let seats = seats(&[(0, ACTIVE), (1, ACTIVE), (2, ACTIVE), (3, NodeState::Gone)]);
        let all = [(0, true), (1, true), (2, true), (3, true)];
        assert_eq!(plan(&found(4, &all), &seats, Some(2)), Plan::default(), "down to 2");
        assert_eq!(plan(&found(4, &all), &seats, Some(6)).join, [pod(3, true)], "up to 6");
    }

    #[test]
    fn nothing_follows_from_an_empty_list_or_one_that_may_be_out_of_date() {
        let seats = seats(&[(0, ACTIVE), (1, ACTIVE)]);
        let empty = plan(&found(1, &[]), &seats, None);
        assert_eq!((empty.leave.len(), empty.problem.is_some()), (0, true));
        let mut old = found(1, &[(0, true), (2, true)]);
        old.problem = Some("forbidden".to_owned());
        let plan = plan(&old, &seats, None);
        assert_eq!(
            (plan.join, plan.leave, plan.problem.as_deref()),
            (vec![], vec![], Some("forbidden"))
        );
    }

    #[test]
    fn the_last_nodes_stay_unless_another_redis_is_active() {
        let mut seats = seats(&[(0, ACTIVE), (1, ACTIVE)]);
        let none = found(0, &[(0, false), (1, false)]);
        let last = plan(&none, &seats, None);
        assert_eq!((last.leave.len(), last.problem.is_some()), (0, true));
        seats.push(external(NodeState::Joining));
        assert_eq!(plan(&none, &seats, None).leave.len(), 0, "nobody uses it yet");
        seats.push(external(ACTIVE));
        assert_eq!(plan(&none, &seats, None).leave, [id(0), id(1)]);
    }

    #[test]
    fn nothing_follows_while_nobody_says_how_many_pods_there_shall_be() {
        let mut pods = found(0, &[(0, true), (1, true), (2, false)]);
        pods.replicas = None;
        let seats = seats(&[(0, NodeState::Gone), (7, ACTIVE)]);
        let plan = plan(&pods, &seats, None);
        assert_eq!((plan.join, plan.leave, plan.problem.is_some()), (vec![], vec![], true));
    }
}
