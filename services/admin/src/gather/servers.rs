//! The servers: which are alive, and their load.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{
    Difference, Gathered, Instance, Lapse, LapseReason, NodeId, ServerInfo, ServerName, ServiceName, StatsPart,
};

use super::reports::EdgeReports;
use super::rfc3339;
use crate::shapes::{self, Name};
use wsmesh_protocol::report::EdgeReport;

/// Bits of an [`Instance`] below its milliseconds since the Unix epoch.
const INSTANCE_RANDOM_BITS: u32 = 22;
/// A server is not heard from after this many beacons that did not come.
const SILENT_BEACONS: u64 = 3;
/// How many lapses of each server are shown.
const LAPSES_SHOWN: usize = 10;

/// `GET /api/v1/cluster`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Cluster)]
pub(crate) struct ClusterView {
    /// By name.
    pub(crate) services: Vec<ServiceView>,
    /// Settings that should be the same everywhere and differ from those of this admin.
    #[schema(value_type = Vec<shapes::Difference>)]
    pub(crate) differences: Vec<Difference>,
}

/// A service and its servers.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ServiceServers)]
pub(crate) struct ServiceView {
    #[schema(value_type = Name)]
    pub(crate) service: ServiceName,
    /// By name.
    pub(crate) servers: Vec<ServerView>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Server)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerView {
    #[schema(value_type = Name)]
    pub(crate) name: ServerName,
    pub(crate) state: ServerState,
    /// The process that has the name; it changes with every start.
    pub(crate) instance: String,
    pub(crate) version: String,
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: Timestamp,
    /// Milliseconds since this admin received its last beacon; 0 for itself.
    pub(crate) last_beacon_ms: u64,
    pub(crate) clients: u64,
    pub(crate) rooms: u64,
    /// Nodes that the server hears.
    #[schema(value_type = Vec<Name>)]
    pub(crate) heard: Vec<NodeId>,
    /// Whether it counts for the choice of nodes: it has started far enough.
    pub(crate) counted: bool,
    /// The last ten spans of time for which the promise did not hold there, newest first; empty for a server that did not answer.
    pub(crate) lapses: Vec<LapseView>,
}

/// A span of time for which the promise did not hold on a server, so that messages may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Lapse)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LapseView {
    #[schema(value_type = shapes::LapseReason)]
    pub(crate) reason: LapseReason,
    #[schema(value_type = Option<Name>, required = true)]
    pub(crate) node: Option<NodeId>,
    /// When the server noticed it, on its own clock.
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) noticed_at: Timestamp,
    /// How long before `noticed_at` it began.
    pub(crate) started_ms_ago: u64,
    pub(crate) length_ms: u64,
}

impl From<&Lapse> for LapseView {
    fn from(lapse: &Lapse) -> Self {
        Self {
            reason: lapse.reason,
            node: lapse.node.clone(),
            noticed_at: time(lapse.noticed_ms),
            started_ms_ago: lapse.started_ms_ago,
            length_ms: lapse.length_ms,
        }
    }
}

/// The roster by service, with the last reports of ws-nodes. The load is what a server reported just now, else what its last beacon reported.
/// `has_nodes`: whether servers should hear nodes.
pub(crate) fn cluster(
    roster: &[ServerInfo],
    gathered: &Gathered<StatsPart>,
    reports: &EdgeReports,
    differences: Vec<Difference>,
    has_nodes: bool,
) -> ClusterView {
    let fresh: BTreeMap<_, _> = gathered.servers.iter().map(|(name, part)| (name, part)).collect();
    let mut services: BTreeMap<ServiceName, Vec<ServerView>> = BTreeMap::new();
    for server in roster {
        let reported = fresh.get(&server.name).copied();
        let (clients, rooms) = load(server, reported);
        let lapses = reported.into_iter().flat_map(|part| part.lapses.iter().rev());
        services.entry(server.service.clone()).or_default().push(ServerView {
            name: server.name.clone(),
            state: state(server, reported, reports.of(&server.name), roster.len(), has_nodes),
            instance: server.instance.to_string(),
            version: server.version.clone(),
            started_at: started_at(server.instance),
            last_beacon_ms: server.age_ms,
            clients,
            rooms,
            heard: server.heard.clone(),
            counted: server.counted,
            lapses: lapses.take(LAPSES_SHOWN).map(LapseView::from).collect(),
        });
    }
    let services = services.into_iter().map(|(service, mut servers)| {
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        ServiceView { service, servers }
    });
    ClusterView {
        services: services.collect(),
        differences,
    }
}

/// The life of a server, as far as its place in the cluster goes. starting: it has not heard every node yet; draining: it sends its
/// clients away, or is about to end; isolated: it hears no node, or is not heard from, so it serves its clients alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServerState {
    Starting,
    Serving,
    Draining,
    Isolated,
}

impl ServerState {
    /// The word for it in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Isolated => "isolated",
        }
    }
}

/// The state of a server of a roster of this size, by its last beacon, what it answered and its last report. `has_nodes`: whether servers should
/// hear nodes.
pub(super) fn state(
    server: &ServerInfo,
    part: Option<&StatsPart>,
    edge: Option<&EdgeReport>,
    servers: usize,
    has_nodes: bool,
) -> ServerState {
    let is_silent = part.is_none() && server.age_ms > SILENT_BEACONS * beacon_ms(servers);
    if has_nodes && server.counted && (server.heard.is_empty() || is_silent) {
        ServerState::Isolated
    } else if server.retiring || edge.is_some_and(|edge| edge.draining) {
        ServerState::Draining
    } else if server.counted {
        ServerState::Serving
    } else {
        ServerState::Starting
    }
}

/// The time between two beacons of one server.
fn beacon_ms(servers: usize) -> u64 {
    (servers as u64 * 20).max(1000)
}

/// Clients and rooms of a server.
pub(super) fn load(server: &ServerInfo, fresh: Option<&StatsPart>) -> (u64, u64) {
    fresh.map_or((server.clients, server.rooms), |part| (part.clients, part.rooms))
}

fn started_at(instance: Instance) -> Timestamp {
    time(instance.0 >> INSTANCE_RANDOM_BITS)
}

/// The time that is this many milliseconds after the Unix epoch; the epoch itself if the number is out of range.
fn time(ms: u64) -> Timestamp {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server with 5 clients and 2 rooms in its last beacon.
    pub(crate) fn server(name: &str, service: &str, heard: &[&str]) -> ServerInfo {
        ServerInfo {
            name: ServerName::new(name).expect("a name"),
            service: ServiceName::new(service).expect("a name"),
            instance: Instance(1_700_000_000_000 << INSTANCE_RANDOM_BITS | 7),
            version: "0.1.0".to_owned(),
            clients: 5,
            rooms: 2,
            heard: heard.iter().map(|id| NodeId::new(id).expect("an id")).collect(),
            counted: true,
            retiring: false,
            age_ms: 300,
        }
    }

    pub(crate) fn reported(server: &str, clients: u64, rooms: u64) -> (ServerName, StatsPart) {
        (
            ServerName::new(server).expect("a name"),
            StatsPart {
                clients,
                rooms,
                ..StatsPart::default()
            },
        )
    }

    pub(crate) fn two_servers_one_of_which_answered() -> (Vec<ServerInfo>, Gathered<StatsPart>) {
        let roster = vec![
            server("ws-node-2", "ws-node", &["redis-1"]),
            server("ws-node-1", "ws-node", &["redis-1"]),
            server("admin-1", "admin", &["redis-1"]),
        ];
        let gathered = Gathered {
            servers: vec![reported("ws-node-1", 9, 4), reported("admin-1", 0, 0)],
            missing: vec![(
                ServerName::new("ws-node-2").expect("a name"),
                "did not answer in time".to_owned(),
            )],
            complete: false,
        };
        (roster, gathered)
    }

    #[test]
    fn servers_are_listed_by_service_and_name_with_the_freshest_load() {
        let (roster, gathered) = two_servers_one_of_which_answered();
        let view = cluster(&roster, &gathered, &EdgeReports::default(), Vec::new(), true);
        let names: Vec<_> = view.services.iter().map(|service| service.service.as_str()).collect();
        assert_eq!(names, ["admin", "ws-node"]);
        let loads: Vec<_> = view.services[1]
            .servers
            .iter()
            .map(|s| (s.name.as_str(), s.clients, s.rooms))
            .collect();
        assert_eq!(loads, [("ws-node-1", 9, 4), ("ws-node-2", 5, 2)]);
    }

    #[test]
    fn the_start_of_a_server_is_read_from_its_instance() {
        let (roster, gathered) = two_servers_one_of_which_answered();
        let view =
            serde_json::to_value(cluster(&roster, &gathered, &EdgeReports::default(), Vec::new(), true)).expect("JSON");
        assert_eq!(
            view["services"][0]["servers"][0]["startedAt"],
            "2023-11-14T22:13:20.000Z"
        );
        assert!(started_at(Instance::now()) > Timestamp::from_millisecond(1_700_000_000_000).expect("a time"));
    }

    #[test]
    fn the_last_lapses_of_a_server_are_shown_newest_first() {
        let (roster, mut gathered) = two_servers_one_of_which_answered();
        let lapse = |n: u64| Lapse {
            reason: LapseReason::Isolated,
            node: None,
            started_ms_ago: 9_000,
            length_ms: 9_000,
            noticed_ms: 1_700_000_000_000 + n,
        };
        gathered.servers[0].1.lapses = (0..30).map(lapse).collect();
        let view =
            serde_json::to_value(cluster(&roster, &gathered, &EdgeReports::default(), Vec::new(), true)).expect("JSON");
        let lapses = view["services"][1]["servers"][0]["lapses"].as_array().expect("a list");
        assert_eq!(lapses.len(), LAPSES_SHOWN);
        assert_eq!(
            lapses[0],
            serde_json::json!({
                "reason": "isolated",
                "node": null,
                "noticedAt": "2023-11-14T22:13:20.029Z",
                "startedMsAgo": 9000,
                "lengthMs": 9000,
            })
        );
        assert_eq!(view["services"][1]["servers"][1]["lapses"], serde_json::json!([]));
    }

    fn found(server: &ServerInfo, part: Option<&StatsPart>) -> ServerState {
        let edge = part.and_then(super::super::edge);
        state(server, part, edge.as_ref(), 1, true)
    }

    #[test]
    fn a_server_is_starting_serving_or_draining_as_its_beacon_and_its_report_say() {
        let mut info = server("ws-node-1", "ws-node", &["redis-1"]);
        assert_eq!(found(&info, None), ServerState::Serving);
        let mut part = StatsPart::default();
        let draining = serde_json::value::to_raw_value(&serde_json::json!({"draining": true})).expect("JSON");
        part.reports.insert("edge".to_owned(), draining);
        assert_eq!(found(&info, Some(&part)), ServerState::Draining);
        info.retiring = true;
        assert_eq!(found(&info, None), ServerState::Draining);
        (info.retiring, info.counted) = (false, false);
        assert_eq!(found(&info, None), ServerState::Starting);
    }

    #[test]
    fn a_server_that_hears_nothing_or_is_not_heard_from_is_isolated() {
        let mut info = server("ws-node-1", "ws-node", &[]);
        assert_eq!(found(&info, Some(&StatsPart::default())), ServerState::Isolated);
        assert_eq!(
            state(&info, None, None, 1, false),
            ServerState::Serving,
            "without nodes there is nothing to hear"
        );
        info = server("ws-node-1", "ws-node", &["redis-1"]);
        info.age_ms = 3_500;
        assert_eq!(found(&info, None), ServerState::Isolated);
        assert_eq!(found(&info, Some(&StatsPart::default())), ServerState::Serving);
        assert_eq!(
            state(&info, None, None, 200, true),
            ServerState::Serving,
            "beacons of many servers are rarer"
        );
    }
}
