//! The Redis nodes: who hears which.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wsmesh_adapter::{Gathered, NodeId, NodeStatus, ServerInfo, ServerName, StatsPart};

use crate::kubernetes::{self, Pod};

/// `GET /api/v1/nodes`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NodesView {
    /// By id.
    pub(crate) nodes: Vec<NodeView>,
    /// Pods of the watched Service; absent when none is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubernetes: Option<Vec<Pod>>,
    /// What somebody should look at, in words.
    pub(crate) warnings: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    pub(crate) id: NodeId,
    /// `host:port` as the servers know it; several when they reach it under different URLs.
    pub(crate) addresses: BTreeSet<String>,
    /// Servers that hear it, by name.
    pub(crate) heard_by: Vec<Hearing>,
    /// Servers that use it and do not hear it, by name.
    pub(crate) not_heard_by: Vec<Hearing>,
}

/// What a server knows of a node. Without numbers when the server did not answer and only its beacon is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hearing {
    pub(crate) server: ServerName,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) reconnects: Option<u64>,
    pub(crate) gaps: Option<u64>,
    pub(crate) error: Option<String>,
}

impl NodeView {
    fn new(id: NodeId) -> Self {
        Self {
            id,
            addresses: BTreeSet::new(),
            heard_by: Vec::new(),
            not_heard_by: Vec::new(),
        }
    }

    fn add(&mut self, server: &ServerName, status: &NodeStatus) {
        self.addresses.insert(status.address.clone());
        let hearing = Hearing {
            server: server.clone(),
            rtt_ms: status.rtt_ms,
            reconnects: Some(status.reconnects),
            gaps: Some(status.gaps),
            error: status.error.clone(),
        };
        if status.heard {
            self.heard_by.push(hearing)
        } else {
            self.not_heard_by.push(hearing)
        }
    }

    fn add_from_beacon(&mut self, server: &ServerName) {
        let server = server.clone();
        self.heard_by.push(Hearing {
            server,
            rtt_ms: None,
            reconnects: None,
            gaps: None,
            error: None,
        });
    }
}

/// Every node that any server uses, with who hears it; what Kubernetes says beside it, when it is watched.
pub(crate) fn nodes(
    roster: &[ServerInfo],
    gathered: &Gathered<StatsPart>,
    kubernetes: Option<kubernetes::View>,
) -> NodesView {
    let mut nodes: BTreeMap<NodeId, NodeView> = BTreeMap::new();
    for (server, part) in &gathered.servers {
        for status in &part.nodes {
            node(&mut nodes, &status.id).add(server, status);
        }
    }
    let answered: BTreeSet<_> = gathered.servers.iter().map(|(server, _)| server).collect();
    for silent in roster.iter().filter(|server| !answered.contains(&server.name)) {
        for id in &silent.heard {
            node(&mut nodes, id).add_from_beacon(&silent.name);
        }
    }
    let mut nodes: Vec<_> = nodes.into_values().collect();
    for node in &mut nodes {
        node.heard_by.sort_by(|a, b| a.server.cmp(&b.server));
        node.not_heard_by.sort_by(|a, b| a.server.cmp(&b.server));
    }
    let mut warnings: Vec<_> = nodes.iter().filter_map(hearing_warning).collect();
    if let Some(view) = &kubernetes {
        warnings.extend(view.warnings(&nodes));
    }
    NodesView {
        nodes,
        kubernetes: kubernetes.map(|view| view.pods),
        warnings,
    }
}

fn node<'a>(nodes: &'a mut BTreeMap<NodeId, NodeView>, id: &NodeId) -> &'a mut NodeView {
    nodes.entry(id.clone()).or_insert_with(|| NodeView::new(id.clone()))
}

fn hearing_warning(node: &NodeView) -> Option<String> {
    match (node.heard_by.len(), node.not_heard_by.len()) {
        (_, 0) => None,
        (0, _) => Some(format!("node {} is heard by no server: look at its error", node.id)),
        (heard, deaf) => Some(format!(
            "node {} is not heard by {deaf} of {} servers",
            node.id,
            heard + deaf
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::servers::tests::server;
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

    fn said(server: &str, nodes: Vec<NodeStatus>) -> (ServerName, StatsPart) {
        (
            ServerName::new(server).expect("a name"),
            StatsPart {
                clients: 0,
                rooms: 0,
                nodes,
                lapses: Vec::new(),
            },
        )
    }

    fn names(hearings: &[Hearing]) -> Vec<&str> {
        hearings.iter().map(|hearing| hearing.server.as_str()).collect()
    }

    #[test]
    fn each_node_names_who_hears_it_and_who_does_not() {
        let roster = [server("b", "ws-node", &[]), server("a", "ws-node", &[])];
        let gathered = Gathered {
            servers: vec![
                said("b", vec![status("redis-1", true), status("redis-2", false)]),
                said("a", vec![status("redis-1", true), status("redis-2", true)]),
            ],
            missing: Vec::new(),
            complete: true,
        };
        let view = nodes(&roster, &gathered, None);
        assert_eq!(names(&view.nodes[0].heard_by), ["a", "b"]);
        assert_eq!(names(&view.nodes[1].heard_by), ["a"]);
        assert_eq!(names(&view.nodes[1].not_heard_by), ["b"]);
        assert_eq!(view.warnings, ["node redis-2 is not heard by 1 of 2 servers"]);
    }

    #[test]
    fn of_a_server_that_did_not_answer_its_beacon_is_known() {
        let roster = [server("silent", "ws-node", &["redis-1"])];
        let gathered = Gathered {
            servers: Vec::new(),
            missing: Vec::new(),
            complete: false,
        };
        let view = nodes(&roster, &gathered, None);
        assert_eq!(names(&view.nodes[0].heard_by), ["silent"]);
        assert_eq!(view.nodes[0].heard_by[0].rtt_ms, None);
        assert!(view.warnings.is_empty());
    }

    #[test]
    fn a_node_that_nobody_hears_is_a_warning() {
        let roster = [server("a", "ws-node", &[])];
        let gathered = Gathered {
            servers: vec![said("a", vec![status("redis-1", false)])],
            missing: Vec::new(),
            complete: true,
        };
        let view = nodes(&roster, &gathered, None);
        assert_eq!(view.warnings, ["node redis-1 is heard by no server: look at its error"]);
    }
}
