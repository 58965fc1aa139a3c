//! What the ws-nodes said last about their clients. One that misses a question is still where and what it was: its last report
//! stands as long as its process is in the roster. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use wsmesh_adapter::{Gathered, Instance, ServerInfo, ServerName, StatsPart};
use wsmesh_protocol::report::{self, EdgeReport};

/// The last report of each ws-node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeReports {
    of_servers: Arc<BTreeMap<ServerName, (Instance, Arc<EdgeReport>)>>,
}

impl EdgeReports {
    /// These, with the answers that came now.
    pub(crate) fn with(&self, roster: &[ServerInfo], gathered: &Gathered<StatsPart>) -> Self {
        let fresh: BTreeMap<_, _> = gathered.servers.iter().map(|(name, part)| (name, part)).collect();
        let last = |server: &ServerInfo| match fresh.get(&server.name) {
            Some(part) => edge(part).map(Arc::new),
            None => {
                let known = self.of_servers.get(&server.name);
                let known = known.filter(|(instance, _)| *instance == server.instance);
                known.map(|(_, report)| Arc::clone(report))
            }
        };
        let reports = roster
            .iter()
            .filter_map(|server| Some((server.name.clone(), (server.instance, last(server)?))));
        Self {
            of_servers: Arc::new(reports.collect()),
        }
    }

    /// The last report of this server; none if it is no ws-node, or has not answered yet.
    pub(crate) fn of(&self, server: &ServerName) -> Option<&EdgeReport> {
        self.of_servers.get(server).map(|(_, report)| &**report)
    }
}

/// What a ws-node tells about its clients; none from other services, and none that this version does not understand.
pub(crate) fn edge(part: &StatsPart) -> Option<EdgeReport> {
    serde_json::from_str(part.reports.get(report::EDGE)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::edges::{Choice, assign, edges};
    use super::super::servers::tests::{reported, server};
    use super::super::servers::{ServerState, cluster};
    use super::*;

    fn answered(draining: bool) -> Gathered<StatsPart> {
        let (name, mut part) = reported("ws-node-1", 9, 4);
        let report = json!({"draining": draining, "publicUrl": "wss://one.example", "labels": {"zone": "a"}});
        let report = serde_json::value::to_raw_value(&report).expect("JSON");
        part.reports.insert(report::EDGE.to_owned(), report);
        Gathered {
            servers: vec![(name, part)],
            missing: Vec::new(),
            complete: true,
        }
    }

    fn nobody() -> Gathered<StatsPart> {
        Gathered {
            servers: Vec::new(),
            missing: Vec::new(),
            complete: false,
        }
    }

    #[test]
    fn a_ws_node_that_misses_a_question_keeps_its_state_its_address_and_its_labels() {
        let roster = [server("ws-node-1", "ws-node", &["redis-1"])];
        let state = |reports: &EdgeReports| {
            let view = cluster(&roster, &nobody(), reports, Vec::new(), true);
            view.services[0].servers[0].state
        };
        let draining = EdgeReports::default().with(&roster, &answered(true));
        assert_eq!(state(&draining.with(&roster, &nobody())), ServerState::Draining);

        let serving = draining.with(&roster, &answered(false)).with(&roster, &nobody());
        assert_eq!(state(&serving), ServerState::Serving);
        let edges = edges(&roster, &nobody(), &serving, true);
        let zone = [("zone".to_owned(), "a".to_owned())];
        let (edge, url) = assign(&edges, &Choice::Load, &zone).expect("assigned");
        assert_eq!(
            (url, edge.clients),
            ("wss://one.example", 5),
            "with the load of its beacon"
        );
    }

    #[test]
    fn a_ws_node_whose_beacons_stay_away_gets_no_clients() {
        let mut roster = [server("ws-node-1", "ws-node", &["redis-1"])];
        let known = EdgeReports::default().with(&roster, &answered(false));
        roster[0].age_ms = 60_000;
        let edges = edges(&roster, &nobody(), &known.with(&roster, &nobody()), true);
        assert!(!edges[0].is_serving);
    }

    #[test]
    fn another_process_of_the_name_and_one_that_left_are_forgotten() {
        let mut roster = [server("ws-node-1", "ws-node", &["redis-1"])];
        let known = EdgeReports::default().with(&roster, &answered(true));
        let name = roster[0].name.clone();
        assert!(known.of(&name).is_some() && known.with(&[], &nobody()).of(&name).is_none());
        roster[0].instance = Instance(9);
        assert!(known.with(&roster, &nobody()).of(&name).is_none());
    }
}
