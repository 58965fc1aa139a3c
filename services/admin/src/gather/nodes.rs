//! The Redis nodes: the state of each, and the servers that hear it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{
    Gathered, NodeAtServer, NodeFacts, NodeId, NodeState, NodeStatus, NodeView as TopologyNode, ServerName, StatsPart,
};

use super::measured::round;
use super::membership::MembershipView;
use super::round_trips::RoundTrips;
use crate::kubernetes::Pod;
use crate::shapes::{self, Name};

/// `GET /api/v1/nodes`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Nodes)]
pub(crate) struct NodesView {
    /// By id.
    pub(crate) nodes: Vec<NodeView>,
    /// Pods of the watched Service; absent when none is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubernetes: Option<Vec<Pod>>,
    /// The nodes that there should be; absent when no StatefulSet is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) membership: Option<MembershipView>,
    /// Problems that an operator should fix, in words.
    pub(crate) warnings: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Node)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    #[schema(value_type = Name)]
    pub(crate) id: NodeId,
    /// The URL, without credentials, for servers that have none of their own. None while the node is not in this admin's topology.
    #[schema(required = true)]
    pub(crate) url: Option<String>,
    /// How often it was made active; none as above.
    #[schema(required = true)]
    pub(crate) epoch: Option<u64>,
    /// Its state; none as above.
    #[schema(value_type = Option<shapes::NodeState>, required = true)]
    pub(crate) state: Option<NodeState>,
    /// `host:port` as the servers know it; several if they use different URLs.
    pub(crate) addresses: BTreeSet<String>,
    /// Servers that hear it, by name.
    pub(crate) heard_by: Vec<Hearing>,
    /// Servers that do not hear it, by name; all servers once the node is gone.
    pub(crate) not_heard_by: Vec<Hearing>,
    /// How long a probe takes through it: the median over all servers that hear it and the last five seconds. Null if nobody
    /// hears it or it leaves.
    #[schema(required = true)]
    pub(crate) rtt_ms: Option<f64>,
    /// Why it counts as slow, in words; null if it does not: 100 ms or more, or 10 ms or more and five times that of the
    /// fastest node.
    #[schema(required = true)]
    pub(crate) slow: Option<String>,
    /// What the node says about itself; null while it was not asked yet, and if it did not answer.
    #[schema(value_type = Option<shapes::NodeFacts>)]
    pub(crate) facts: Option<NodeFacts>,
    /// Why it said nothing.
    pub(crate) facts_error: Option<String>,
    /// How long ago it answered, or did not in time; null if it was not asked.
    pub(crate) facts_age_ms: Option<u64>,
}

/// What the nodes said about themselves, and when.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) of_nodes: BTreeMap<NodeId, Said>,
}

/// What a node said about itself.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) facts: Result<NodeFacts, String>,
    /// How many of its commands were slow so far: never less than before. None if it does not tell.
    pub(crate) slow_commands: Option<u64>,
    /// How long ago that was, or ago it did not answer in time.
    pub(crate) age_ms: u64,
}

/// Adds what the nodes say about themselves.
pub(crate) fn with_facts(mut view: NodesView, facts: &Facts) -> NodesView {
    for node in &mut view.nodes {
        let Some(said) = facts.of_nodes.get(&node.id) else {
            continue;
        };
        node.facts_age_ms = Some(said.age_ms);
        match &said.facts {
            Ok(facts) => node.facts = Some(facts.clone()),
            Err(why) => node.facts_error = Some(why.clone()),
        }
    }
    view
}

/// How long the probes took of all who answered, through the nodes that messages are sent through.
pub(crate) fn round_trips_of<'a>(
    statuses: impl IntoIterator<Item = &'a NodeStatus>,
    topology: &[TopologyNode],
) -> RoundTrips {
    let staying = |id: &NodeId| {
        topology
            .iter()
            .any(|node| node.id == *id && is_meant_to_be_heard(Some(node.state)))
    };
    let heard = statuses
        .into_iter()
        .filter(|status| status.heard && staying(&status.id));
    RoundTrips::of(heard.filter_map(|status| Some((&status.id, status.rtt_ms?))))
}

/// Adds how long probes take, and which nodes are slow. Nothing is sent through one that leaves.
pub(crate) fn with_round_trips(mut view: NodesView, round_trips: &RoundTrips) -> NodesView {
    for node in view.nodes.iter_mut().filter(|node| is_meant_to_be_heard(node.state)) {
        node.rtt_ms = round_trips.ms(&node.id).map(|ms| round(ms, 1000.0));
        node.slow = round_trips.slow(&node.id).map(|slow| slow.to_string());
    }
    view
}

/// What a server reports about a node. There are no numbers if the server did not answer and only its beacon is known.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hearing {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    /// The node's state in that server's topology; none if it is not in it.
    #[schema(value_type = Option<shapes::NodeState>, required = true)]
    pub(crate) state: Option<NodeState>,
    #[schema(required = true)]
    pub(crate) rtt_ms: Option<f64>,
    #[schema(required = true)]
    pub(crate) reconnects: Option<u64>,
    #[schema(required = true)]
    pub(crate) gaps: Option<u64>,
    #[schema(required = true)]
    pub(crate) error: Option<String>,
}

/// Whether servers should hear the node: not while it is draining, and not when it is gone.
fn is_meant_to_be_heard(state: Option<NodeState>) -> bool {
    !matches!(state, Some(NodeState::Draining | NodeState::Gone))
}

impl NodeView {
    /// A node that some server uses and that is not in this admin's topology yet.
    fn unknown(id: NodeId) -> Self {
        Self {
            id,
            url: None,
            epoch: None,
            state: None,
            addresses: BTreeSet::new(),
            heard_by: Vec::new(),
            not_heard_by: Vec::new(),
            rtt_ms: None,
            slow: None,
            facts: None,
            facts_error: None,
            facts_age_ms: None,
        }
    }

    /// Whether servers may still use the node.
    pub(crate) fn is_in_use(&self) -> bool {
        self.state != Some(NodeState::Gone)
    }

    /// Adds what a server reported just now, or else what its last beacon reported.
    fn add(&mut self, server: &ServerName, at: Option<&NodeAtServer>, reported: Option<&NodeStatus>) {
        self.addresses.extend(reported.map(|status| status.address.clone()));
        let hearing = Hearing {
            server: server.clone(),
            state: at.and_then(|at| at.state),
            rtt_ms: reported.and_then(|status| status.rtt_ms),
            reconnects: reported.map(|status| status.reconnects),
            gaps: reported.map(|status| status.gaps),
            error: reported.and_then(|status| status.error.clone()),
        };
        let heard = reported.map(|status| status.heard).or(at.map(|at| at.hears));
        if heard.unwrap_or(false) {
            self.heard_by.push(hearing);
        } else {
            self.not_heard_by.push(hearing);
        }
    }

    fn warning(&self) -> Option<String> {
        if !is_meant_to_be_heard(self.state) {
            return None;
        }
        let id = &self.id;
        match (self.heard_by.len(), self.not_heard_by.len()) {
            (_, 0) => None,
            (0, _) => Some(format!(
                "no server hears node {id}: see the errors that the servers report"
            )),
            (heard, deaf) => Some(format!("{deaf} of {} servers do not hear node {id}", heard + deaf)),
        }
    }
}

/// Every node of the topology and every other node that a server uses, with the servers that hear it.
pub(crate) fn nodes(topology: Vec<TopologyNode>, gathered: &Gathered<StatsPart>) -> NodesView {
    let mut reported: BTreeMap<NodeId, BTreeMap<ServerName, &NodeStatus>> = BTreeMap::new();
    for (server, part) in &gathered.servers {
        for status in &part.nodes {
            reported
                .entry(status.id.clone())
                .or_default()
                .insert(server.clone(), status);
        }
    }
    let mut nodes = Vec::new();
    for TopologyNode {
        id,
        url,
        epoch,
        state,
        servers,
    } in topology
    {
        let mut reported = reported.remove(&id).unwrap_or_default();
        let mut node = NodeView {
            url: Some(url),
            epoch: Some(epoch),
            state: Some(state),
            ..NodeView::unknown(id)
        };
        for at in &servers {
            node.add(&at.server, Some(at), reported.remove(&at.server));
        }
        add_reported(&mut node, reported);
        nodes.push(node);
    }
    for (id, reported) in reported {
        let mut node = NodeView::unknown(id);
        add_reported(&mut node, reported);
        nodes.push(node);
    }
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    for node in &mut nodes {
        node.heard_by.sort_by(|a, b| a.server.cmp(&b.server));
        node.not_heard_by.sort_by(|a, b| a.server.cmp(&b.server));
    }
    let warnings = nodes.iter().filter_map(NodeView::warning).collect();
    NodesView {
        nodes,
        kubernetes: None,
        membership: None,
        warnings,
    }
}

/// Adds servers that the topology does not mention: they answered, and have left the roster since.
fn add_reported(node: &mut NodeView, reported: BTreeMap<ServerName, &NodeStatus>) {
    for (server, status) in reported {
        node.add(&server, None, Some(status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: &str, heard: bool) -> NodeStatus {
        NodeStatus {
            id: NodeId::new(id).expect("an id"),
            address: format!("{id}.example:6379"),
            heard,
            rtt_ms: heard.then_some(0.5),
            error: (!heard).then(|| "connection refused".to_owned()),
            reconnects: 1,
            gaps: 0,
        }
    }

    fn reported(server: &str, nodes: Vec<NodeStatus>) -> (ServerName, StatsPart) {
        (
            ServerName::new(server).expect("a name"),
            StatsPart {
                nodes,
                ..StatsPart::default()
            },
        )
    }

    fn node(id: &str, state: NodeState, servers: &[(&str, bool)]) -> TopologyNode {
        let servers = servers.iter().map(|(server, hears)| NodeAtServer {
            server: ServerName::new(server).expect("a name"),
            state: Some(state),
            hears: *hears,
        });
        TopologyNode {
            id: NodeId::new(id).expect("an id"),
            url: format!("redis://{id}.example:6379#{id}"),
            epoch: 1,
            state,
            servers: servers.collect(),
        }
    }

    fn nobody_answered() -> Gathered<StatsPart> {
        Gathered {
            servers: Vec::new(),
            missing: Vec::new(),
            complete: false,
        }
    }

    fn names(hearings: &[Hearing]) -> Vec<&str> {
        hearings.iter().map(|hearing| hearing.server.as_str()).collect()
    }

    #[test]
    fn each_node_names_the_servers_that_hear_it_and_those_that_do_not() {
        let topology = vec![
            node("redis-1", NodeState::Active, &[("a", true), ("b", true)]),
            node("redis-2", NodeState::Active, &[("a", true), ("b", true)]),
        ];
        let gathered = Gathered {
            servers: vec![
                reported("b", vec![status("redis-1", true), status("redis-2", false)]),
                reported("a", vec![status("redis-1", true), status("redis-2", true)]),
            ],
            missing: Vec::new(),
            complete: true,
        };
        let view = nodes(topology, &gathered);
        assert_eq!(names(&view.nodes[0].heard_by), ["a", "b"]);
        assert_eq!(names(&view.nodes[1].heard_by), ["a"]);
        assert_eq!(names(&view.nodes[1].not_heard_by), ["b"]);
        assert_eq!(view.nodes[1].not_heard_by[0].state, Some(NodeState::Active));
        assert_eq!(view.warnings, ["1 of 2 servers do not hear node redis-2"]);
    }

    #[test]
    fn a_server_that_did_not_answer_is_shown_by_its_beacon() {
        let topology = vec![node("redis-1", NodeState::Active, &[("silent", true)])];
        let view = nodes(topology, &nobody_answered());
        assert_eq!(names(&view.nodes[0].heard_by), ["silent"]);
        assert_eq!(view.nodes[0].heard_by[0].rtt_ms, None);
        assert!(view.warnings.is_empty());
    }

    #[test]
    fn a_node_that_no_server_hears_is_a_warning_unless_it_is_being_removed() {
        let deaf = |state| nodes(vec![node("redis-1", state, &[("a", false)])], &nobody_answered()).warnings;
        for state in [NodeState::Joining, NodeState::Active] {
            assert_eq!(
                deaf(state),
                ["no server hears node redis-1: see the errors that the servers report"]
            );
        }
        for state in [NodeState::Draining, NodeState::Gone] {
            assert_eq!(deaf(state), [""; 0]);
        }
    }

    #[test]
    fn a_slow_node_is_marked_unless_it_leaves() {
        let slow = |rtt_ms, heard| NodeStatus {
            rtt_ms: Some(rtt_ms),
            ..status("redis-2", heard)
        };
        let gathered = Gathered {
            servers: vec![
                reported("a", vec![status("redis-1", true), slow(80.0, true)]),
                reported("b", vec![status("redis-1", true), slow(90.0, true)]),
                reported("c", vec![status("redis-1", true), slow(0.1, false)]),
            ],
            missing: Vec::new(),
            complete: true,
        };
        for (state, ms, said) in [
            (
                NodeState::Active,
                Some(80.0),
                Some("a probe takes 80 ms through it, and 0.5 ms through redis-1"),
            ),
            (NodeState::Draining, None, None),
        ] {
            let topology = vec![node("redis-1", NodeState::Active, &[]), node("redis-2", state, &[])];
            let statuses = gathered.servers.iter().flat_map(|(_, part)| &part.nodes);
            let round_trips = round_trips_of(statuses, &topology);
            let view = with_round_trips(nodes(topology, &gathered), &round_trips);
            let [one, two] = &view.nodes[..] else {
                panic!("{view:?}")
            };
            assert_eq!((one.rtt_ms, one.slow.as_deref()), (Some(0.5), None));
            assert_eq!((two.rtt_ms, two.slow.as_deref()), (ms, said));
        }
    }

    #[test]
    fn a_node_that_only_other_servers_know_is_listed_too() {
        let gathered = Gathered {
            servers: vec![reported("b", vec![status("redis-9", true)])],
            missing: Vec::new(),
            complete: true,
        };
        let view = nodes(vec![node("redis-1", NodeState::Active, &[("b", true)])], &gathered);
        let ids: Vec<_> = view.nodes.iter().map(|node| (node.id.as_str(), node.state)).collect();
        assert_eq!(ids, [("redis-1", Some(NodeState::Active)), ("redis-9", None)]);
        assert_eq!(names(&view.nodes[1].heard_by), ["b"]);
    }
}
