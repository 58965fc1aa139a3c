//! A StatefulSet of Redis pods that gets another number of replicas: which nodes come or go, how far that is, and what to do when it
//! takes too long. Plain values over the topology; nothing here talks to Kubernetes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::{NodeId, NodeState, NodeView, ServerName};

use super::progress;
use super::what::NodeChange;
use crate::shapes::{self, Name};

/// How many times the time limit of a change a StatefulSet may take to get one more replica: pods must be started, and images may have to
/// be loaded first. Each further one may take the time limit of a change in addition: its pod may start after the ones before it.
const STARTING_TAKES: u32 = 5;
/// How many replicas a StatefulSet has, and how many it shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Replicas {
    /// When the job began.
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Replicas {
    pub(crate) fn is_down(self) -> bool {
        self.to < self.from
    }

    /// How long that may take, if one node may take this long to be added, or to be removed.
    pub(super) fn limit(self, adding: Duration, removing: Duration) -> Duration {
        let difference = self.from.abs_diff(self.to);
        match self.is_down() {
            true => removing.saturating_mul(difference).saturating_add(adding),
            false => adding.saturating_mul(STARTING_TAKES.saturating_add(difference.saturating_sub(1))),
        }
    }
}

/// The change that a job of a StatefulSet stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    #[serde(flatten)]
    pub(crate) replicas: Replicas,
    /// The StatefulSet's `resourceVersion` when the job began: two admins that are asked at the same moment have one job.
    pub(crate) version: String,
    /// The nodes that come, lowest ordinal first; or that go, highest ordinal first.
    pub(crate) nodes: Vec<NodeId>,
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobAtNode)]
pub(crate) struct NodeProgress {
    #[schema(value_type = Name)]
    pub(crate) node: NodeId,
    /// Its state; none if it is not in the topology.
    #[schema(value_type = Option<shapes::NodeState>, required = true)]
    pub(crate) state: Option<NodeState>,
    /// Whether every counted server uses it, or has let go of it.
    pub(crate) done: bool,
}

impl Scaling {
    /// How far each node is. An admin that was cut off (`is_clear` is false) knows too little to call any of them done.
    pub(super) fn progress(
        &self,
        topology: &[NodeView],
        counted: &BTreeSet<ServerName>,
        is_clear: bool,
    ) -> Vec<NodeProgress> {
        let what = if self.replicas.is_down() {
            NodeChange::Remove
        } else {
            NodeChange::Add
        };
        let of = |id: &NodeId| {
            let view = topology.iter().find(|view| view.id == *id);
            let is_there = match (what, view.map(|view| view.state)) {
                (NodeChange::Remove, state) => matches!(state, None | Some(NodeState::Gone)),
                (_, state) => state == Some(NodeState::Active),
            };
            let servers = view.map(|view| progress::progress(what, view, counted));
            let everywhere = servers.iter().flatten().all(|server| server.done || !server.counted);
            NodeProgress {
                node: id.clone(),
                state: view.map(|view| view.state),
                done: is_clear && is_there && everywhere,
            }
        };
        self.nodes.iter().map(of).collect()
    }

    /// How many of the StatefulSet's pods may be nodes now, given the progress. While replicas go, one ordinal after the other is let go
    /// of, so this follows the highest that is not gone yet.
    pub(super) fn target(&self, nodes: &[NodeProgress]) -> u32 {
        let Replicas { from, to } = self.replicas;
        if !self.replicas.is_down() {
            return to;
        }
        let gone = nodes.iter().take_while(|node| node.done).count();
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        from.saturating_sub(gone.saturating_add(1)).max(to)
    }

    /// Why it took too long, and what to do.
    pub(super) fn overdue(&self, nodes: &[NodeProgress], limit: Duration) -> String {
        let Replicas { from, to } = self.replicas;
        let waiting: Vec<&str> = nodes
            .iter()
            .filter(|node| !node.done)
            .map(|node| node.node.as_str())
            .collect();
        let seconds = limit.as_secs_f64();
        match (waiting.is_empty(), self.replicas.is_down()) {
            (true, _) => format!(
                "the StatefulSet was not scaled from {from} to {to} within {seconds} s: no admin that leads could ask the Kubernetes API; see \
                 the logs of the admins and admin doctor, then scale again"
            ),
            (false, true) => format!(
                "not gone within {seconds} s: {}. The StatefulSet keeps its {from} replicas, and nodes that were drained join again; see GET \
                 /api/v1/nodes, then scale again",
                waiting.join(", ")
            ),
            (false, false) => format!(
                "not active within {seconds} s: {}. Each is used as soon as its pod is ready and every server hears it; look at kubectl get \
                 pods and at the errors in GET /api/v1/nodes, or scale back to {from}",
                waiting.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::NodeAtServer;

    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::new(text).expect("an id")
    }

    fn scaling(from: u32, to: u32, nodes: &[&str]) -> Scaling {
        Scaling {
            replicas: Replicas { from, to },
            version: "7".to_owned(),
            nodes: nodes.iter().map(|node| id(node)).collect(),
        }
    }

    fn view(node: &str, state: NodeState, at_ws: NodeState) -> NodeView {
        let at = |server: &str, state| NodeAtServer {
            server: ServerName::new(server).expect("a name"),
            state: Some(state),
            hears: true,
        };
        NodeView {
            id: id(node),
            url: format!("redis://{node}"),
            epoch: 1,
            state,
            servers: vec![at("admin-1", state), at("ws-1", at_ws)],
        }
    }

    fn counted() -> BTreeSet<ServerName> {
        ["admin-1", "ws-1"]
            .map(|name| ServerName::new(name).expect("a name"))
            .into()
    }

    fn done(scaling: &Scaling, topology: &[NodeView], is_clear: bool) -> Vec<bool> {
        let nodes = scaling.progress(topology, &counted(), is_clear);
        nodes.iter().map(|node| node.done).collect()
    }

    #[test]
    fn a_node_has_gone_when_every_counted_server_has_let_go_of_it_and_this_admin_sees_all_of_them() {
        use NodeState::{Active, Draining, Gone};
        let down = scaling(5, 3, &["redis-4", "redis-3"]);
        let topology = [view("redis-4", Gone, Gone), view("redis-3", Gone, Draining)];
        assert_eq!(done(&down, &topology, true), [true, false]);
        assert_eq!(done(&down, &topology, false), [false, false], "it was cut off");
        assert_eq!(done(&down, &[], true), [true, true], "they never became nodes");
        assert_eq!(done(&down, &[view("redis-4", Active, Active)], true), [false, true]);
    }

    #[test]
    fn the_more_nodes_come_or_go_the_longer_that_may_take() {
        let limit = |from, to| {
            let limit = Replicas { from, to }.limit(Duration::from_secs(60), Duration::from_secs(66));
            limit.as_secs()
        };
        assert_eq!([limit(3, 4), limit(3, 5), limit(3, 13)], [300, 360, 840]);
        assert_eq!([limit(4, 3), limit(5, 3), limit(13, 3)], [126, 192, 720]);
    }

    #[test]
    fn a_node_has_come_when_it_is_active_everywhere() {
        use NodeState::{Active, Joining};
        let up = scaling(3, 5, &["redis-3", "redis-4"]);
        let topology = [view("redis-3", Active, Active), view("redis-4", Joining, Active)];
        assert_eq!(done(&up, &topology, true), [true, false]);
        assert_eq!(done(&up, &[], true), [false, false]);
    }

    #[test]
    fn ordinals_are_let_go_of_one_after_the_other_and_come_all_at_once() {
        let down = scaling(5, 2, &["redis-4", "redis-3", "redis-2"]);
        let target = |done: [bool; 3]| {
            let nodes = down.nodes.iter().zip(done);
            let nodes: Vec<_> = nodes
                .map(|(node, done)| NodeProgress {
                    node: node.clone(),
                    state: None,
                    done,
                })
                .collect();
            down.target(&nodes)
        };
        assert_eq!(target([false, false, false]), 4);
        assert_eq!(target([true, false, false]), 3);
        assert_eq!(target([false, true, true]), 4, "a higher ordinal goes first");
        assert_eq!(target([true, true, false]), 2);
        assert_eq!(target([true, true, true]), 2);
        assert_eq!(down.target(&[]), 4, "nothing is known yet");
        assert_eq!(scaling(2, 5, &[]).target(&[]), 5);
    }

    #[test]
    fn what_took_too_long_is_named_with_what_to_do() {
        let limit = Duration::from_secs(60);
        let down = scaling(4, 3, &["redis-3"]);
        let why = down.overdue(&down.progress(&[], &counted(), false), limit);
        assert!(why.starts_with("not gone within 60 s: redis-3."), "{why}");
        let why = down.overdue(&down.progress(&[], &counted(), true), limit);
        assert!(why.contains("admin doctor"), "{why}");
        let up = scaling(3, 4, &["redis-3"]);
        let why = up.overdue(&up.progress(&[], &counted(), true), limit);
        assert!(
            why.contains("kubectl get pods") && why.contains("scale back to 3"),
            "{why}"
        );
    }
}
