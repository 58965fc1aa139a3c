//! What this admin sees of the cluster in one moment: the roster, the topology and what the servers answered, without visitors.
//! A visitor (`admin doctor`, `ws-node selftest`) is no part of the cluster: it comes for some seconds and carries nothing.

use std::collections::{BTreeMap, BTreeSet};

use wsmesh_adapter::{Adapter, Gathered, Instance, NodeView, ServerInfo, ServerName, StatsPart};
use wsmesh_protocol::report::SELFTEST;

use crate::doctor;
use crate::gather::{self, ClusterView, EdgeReports, Facts, Measured, NodesView, RoundTrips};
use crate::kubernetes::Kubernetes;
use crate::membership::Membership;

/// Who knows from outside of the cluster which nodes there should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    pub(crate) pods: Option<Kubernetes>,
    pub(crate) membership: Option<Membership>,
}

/// The cluster in one moment.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) roster: Vec<ServerInfo>,
    topology: Vec<NodeView>,
    pub(super) gathered: Gathered<StatsPart>,
    /// The last reports of ws-nodes.
    pub(super) reports: EdgeReports,
}

impl Sight {
    /// What was answered just now; of ws-nodes that did not, `reports` has the last report.
    pub(super) fn new(adapter: &Adapter, gathered: Gathered<StatsPart>, reports: &EdgeReports) -> Self {
        Self::of(adapter.servers(), adapter.topology(), gathered, reports)
    }

    /// Whether at least half of the servers answered.
    pub(super) fn most_answered(&self) -> bool {
        self.gathered.servers.len() >= self.gathered.missing.len()
    }

    /// How long probes took, of the servers that answered.
    pub(super) fn round_trips(&self) -> RoundTrips {
        let statuses = self.gathered.servers.iter().flat_map(|(_, part)| &part.nodes);
        gather::round_trips_of(statuses, &self.topology)
    }

    /// The servers of the cluster now, with their processes.
    pub(super) fn processes(adapter: &Adapter) -> BTreeSet<(ServerName, Instance)> {
        let servers = adapter.servers().into_iter();
        servers
            .filter(|server| !is_visitor(server))
            .map(|server| (server.name, server.instance))
            .collect()
    }

    fn of(
        mut roster: Vec<ServerInfo>,
        mut topology: Vec<NodeView>,
        mut gathered: Gathered<StatsPart>,
        reports: &EdgeReports,
    ) -> Self {
        let visitors: BTreeSet<ServerName> = roster
            .iter()
            .filter(|server| is_visitor(server))
            .map(|server| server.name.clone())
            .collect();
        if !visitors.is_empty() {
            roster.retain(|server| !visitors.contains(&server.name));
            for node in &mut topology {
                node.servers.retain(|at| !visitors.contains(&at.server));
            }
            gathered.servers.retain(|(name, _)| !visitors.contains(name));
            let before = gathered.missing.len();
            gathered.missing.retain(|(name, _)| !visitors.contains(name));
            gathered.complete |= before > 0 && gathered.missing.is_empty();
        }
        Self {
            reports: reports.with(&roster, &gathered),
            roster,
            topology,
            gathered,
        }
    }

    /// The servers of this moment, with their processes.
    pub(super) fn processes_seen(&self) -> BTreeSet<(ServerName, Instance)> {
        self.roster
            .iter()
            .map(|server| (server.name.clone(), server.instance))
            .collect()
    }

    fn has_nodes(&self) -> bool {
        !self.topology.is_empty()
    }

    pub(super) fn cluster(&self, adapter: &Adapter) -> ClusterView {
        let differences = adapter.differences();
        gather::cluster(
            &self.roster,
            &self.gathered,
            &self.reports,
            differences,
            self.has_nodes(),
        )
    }

    /// The nodes, their pods, their facts and how long they take.
    pub(super) fn nodes(&self, outside: &Outside, facts: &Facts, round_trips: &RoundTrips) -> NodesView {
        let nodes = gather::with_facts(gather::nodes(self.topology.clone(), &self.gathered), facts);
        let nodes = gather::with_round_trips(nodes, round_trips);
        let nodes = match &outside.pods {
            Some(pods) => gather::with_pods(nodes, pods.view()),
            None => nodes,
        };
        match outside.membership.as_ref().map(Membership::view) {
            Some(view) => gather::with_membership(nodes, view),
            None => nodes,
        }
    }

    pub(super) fn stats(&self, measured: &BTreeMap<ServerName, Measured>) -> gather::StatsView {
        gather::stats(&self.roster, &self.gathered, &self.reports, measured, self.has_nodes())
    }

    pub(super) fn edges(&self) -> Vec<gather::Edge> {
        gather::edges(&self.roster, &self.gathered, &self.reports, self.has_nodes())
    }
}

fn is_visitor(server: &ServerInfo) -> bool {
    matches!(server.service.as_str(), doctor::SERVICE | SELFTEST)
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{NodeAtServer, NodeId, NodeState, ServiceName};

    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a name")
    }

    fn server(server: &str, service: &str) -> ServerInfo {
        ServerInfo {
            name: name(server),
            service: ServiceName::new(service).expect("a name"),
            instance: Instance(1),
            version: String::new(),
            clients: 0,
            rooms: 0,
            heard: Vec::new(),
            counted: service == "ws-node",
            retiring: false,
            age_ms: 0,
        }
    }

    #[test]
    fn a_visitor_is_no_server_hears_no_node_and_its_silence_is_not_missed() {
        let at = |server: &str, hears| NodeAtServer {
            server: name(server),
            state: Some(NodeState::Active),
            hears,
        };
        let topology = NodeView {
            id: NodeId::new("redis-1").expect("an id"),
            url: "redis://redis-1:6379".to_owned(),
            epoch: 1,
            state: NodeState::Active,
            servers: vec![at("doctor-1", false), at("selftest-1", false), at("ws-1", true)],
        };
        let gathered = Gathered {
            servers: vec![(name("ws-1"), StatsPart::default())],
            missing: vec![(name("doctor-1"), "did not answer in time".to_owned())],
            complete: false,
        };
        let visitors = [server("doctor-1", doctor::SERVICE), server("selftest-1", SELFTEST)];
        let roster = visitors.into_iter().chain([server("ws-1", "ws-node")]).collect();
        let sight = Sight::of(roster, vec![topology], gathered, &EdgeReports::default());
        let nodes = sight.nodes(&Outside::default(), &Facts::default(), &RoundTrips::default());
        assert_eq!((nodes.warnings.len(), nodes.nodes[0].not_heard_by.len()), (0, 0));
        assert_eq!(sight.stats(&BTreeMap::new()).totals.servers, 1);
        assert!(sight.gathered.complete && sight.gathered.missing.is_empty());
    }
}
