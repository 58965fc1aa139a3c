//! The progress of a change of the nodes, judged from the topology. Pure functions over plain values.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::{NodeId, NodeState, NodeView, ServerName};

use super::what::NodeChange;
use crate::shapes::{self, Name};

/// The progress of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobAtServer)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerProgress {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    /// The node's state in that server's topology; none if it is not in it.
    #[schema(value_type = Option<shapes::NodeState>, required = true)]
    pub(crate) state: Option<NodeState>,
    /// Whether that server hears the node.
    pub(crate) hears: bool,
    /// Whether the job waits for this server: it does not wait for a server that is still starting.
    pub(crate) counted: bool,
    /// Whether the change is done on this server.
    pub(crate) done: bool,
}

/// The state that a job has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Running,
    Done,
    /// The change cannot be made any more, with the reason.
    Failed(String),
}

/// The progress of every server.
pub(super) fn progress(what: NodeChange, node: &NodeView, counted: &BTreeSet<ServerName>) -> Vec<ServerProgress> {
    let of = |at: &wsmesh_adapter::NodeAtServer| {
        let used = matches!(at.state, Some(NodeState::Active | NodeState::Joining));
        ServerProgress {
            server: at.server.clone(),
            state: at.state,
            hears: at.hears,
            counted: counted.contains(&at.server),
            done: match what {
                NodeChange::Add => used && at.hears,
                NodeChange::Remove => matches!(at.state, None | Some(NodeState::Gone)),
            },
        }
    };
    node.servers.iter().map(of).collect()
}

/// Whether a change that began in this epoch of the node is done, still running, or undone by another change.
pub(super) fn verdict(what: NodeChange, epoch: u64, node: &NodeView, servers: &[ServerProgress]) -> Verdict {
    let everywhere = servers.iter().all(|server| server.done || !server.counted);
    match (what, node.state) {
        (NodeChange::Add, NodeState::Draining | NodeState::Gone) => {
            Verdict::Failed("the node was drained meanwhile; add it again if it should stay".to_owned())
        }
        (NodeChange::Add, NodeState::Active) if everywhere => Verdict::Done,
        (NodeChange::Remove, NodeState::Active | NodeState::Joining) if node.epoch > epoch => Verdict::Failed(
            "the node was made active again meanwhile: it was added again, or another drain left no active node; check \
             /api/v1/nodes, then remove it again"
                .to_owned(),
        ),
        (NodeChange::Remove, NodeState::Gone) if everywhere => Verdict::Done,
        _ => Verdict::Running,
    }
}

/// Whether the topology of this admin contains the change, or something later.
pub(super) fn is_learned(what: NodeChange, epoch: u64, node: Option<&NodeView>) -> bool {
    node.is_some_and(|node| match what {
        NodeChange::Add => node.epoch >= epoch,
        NodeChange::Remove => {
            let is_used = matches!(node.state, NodeState::Active | NodeState::Joining);
            node.epoch > epoch || (node.epoch == epoch && !is_used)
        }
    })
}

/// Why a job took too long: the servers that it waits for, and what to do.
pub(super) fn overdue(what: NodeChange, node: &NodeId, servers: &[ServerProgress], limit: Duration) -> String {
    let waiting = servers.iter().filter(|server| server.counted && !server.done);
    let names: Vec<&str> = waiting.map(|server| server.server.as_str()).collect();
    let names = if names.is_empty() {
        "this admin".to_owned()
    } else {
        names.join(", ")
    };
    let seconds = limit.as_secs_f64();
    match what {
        NodeChange::Add => format!(
            "not heard within {seconds} s by: {names}. The node stays in the topology and is used as soon as all servers hear \
             it. See the errors of these servers in GET /api/v1/nodes (can they reach the node, is the password right?), or \
             remove it with DELETE /api/v1/nodes/{node}"
        ),
        NodeChange::Remove => format!(
            "not gone within {seconds} s for: {names}. No server publishes through the node any more, and it is gone as soon as \
             these servers learn of it: check whether they hear another node"
        ),
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::NodeAtServer;

    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a name")
    }

    fn node(epoch: u64, state: NodeState, servers: &[(&str, Option<NodeState>, bool)]) -> NodeView {
        let servers = servers.iter().map(|(server, state, hears)| NodeAtServer {
            server: name(server),
            state: *state,
            hears: *hears,
        });
        NodeView {
            id: NodeId::new("redis-4").expect("an id"),
            url: "redis://redis-4:6379#redis-4".to_owned(),
            epoch,
            state,
            servers: servers.collect(),
        }
    }

    fn judged(what: NodeChange, node: &NodeView, counted: &[&str]) -> Verdict {
        let counted = counted.iter().map(|text| name(text)).collect();
        verdict(what, 1, node, &progress(what, node, &counted))
    }

    const ACTIVE: Option<NodeState> = Some(NodeState::Active);
    const GONE: Option<NodeState> = Some(NodeState::Gone);

    #[test]
    fn a_node_is_added_when_every_counted_server_hears_it() {
        let servers = [("a", ACTIVE, true), ("b", None, false)];
        let half = node(1, NodeState::Joining, &servers);
        assert_eq!(judged(NodeChange::Add, &half, &["a", "b"]), Verdict::Running);
        let starting = node(1, NodeState::Active, &servers);
        assert_eq!(judged(NodeChange::Add, &starting, &["a"]), Verdict::Done);
        let whole = node(1, NodeState::Active, &[("a", ACTIVE, true), ("b", ACTIVE, true)]);
        assert_eq!(judged(NodeChange::Add, &whole, &["a", "b"]), Verdict::Done);
    }

    #[test]
    fn a_node_is_removed_when_it_is_gone_for_every_counted_server() {
        let half = node(1, NodeState::Gone, &[("a", GONE, false), ("b", ACTIVE, true)]);
        assert_eq!(judged(NodeChange::Remove, &half, &["a", "b"]), Verdict::Running);
        let whole = node(1, NodeState::Gone, &[("a", GONE, false), ("b", None, false)]);
        assert_eq!(judged(NodeChange::Remove, &whole, &["a", "b"]), Verdict::Done);
    }

    #[test]
    fn a_change_that_another_change_undoes_has_failed() {
        let drained = node(1, NodeState::Draining, &[("a", Some(NodeState::Draining), true)]);
        assert!(matches!(judged(NodeChange::Add, &drained, &["a"]), Verdict::Failed(why) if why.contains("drained")));
        let back = node(2, NodeState::Active, &[("a", ACTIVE, true)]);
        assert!(
            matches!(judged(NodeChange::Remove, &back, &["a"]), Verdict::Failed(why) if why.contains("active again"))
        );
    }

    #[test]
    fn a_change_is_learned_with_its_epoch_or_a_later_one() {
        let of = |epoch, state| node(epoch, state, &[]);
        for (what, view, learned) in [
            (NodeChange::Add, None, false),
            (NodeChange::Add, Some(of(1, NodeState::Gone)), false),
            (NodeChange::Add, Some(of(2, NodeState::Joining)), true),
            (NodeChange::Add, Some(of(2, NodeState::Gone)), true),
            (NodeChange::Remove, None, false),
            (NodeChange::Remove, Some(of(1, NodeState::Gone)), false),
            (NodeChange::Remove, Some(of(2, NodeState::Active)), false),
            (NodeChange::Remove, Some(of(2, NodeState::Draining)), true),
            (NodeChange::Remove, Some(of(3, NodeState::Active)), true),
        ] {
            assert_eq!(is_learned(what, 2, view.as_ref()), learned, "{what:?} {view:?}");
        }
    }

    #[test]
    fn an_overdue_job_names_the_servers_that_it_waits_for() {
        let half = node(1, NodeState::Joining, &[("a", ACTIVE, true), ("b", ACTIVE, false)]);
        let counted = [name("a"), name("b")].into();
        let why = overdue(
            NodeChange::Add,
            &half.id,
            &progress(NodeChange::Add, &half, &counted),
            Duration::from_secs(60),
        );
        assert!(why.starts_with("not heard within 60 s by: b."), "{why}");
        assert!(why.contains("DELETE /api/v1/nodes/redis-4"), "{why}");
    }
}
