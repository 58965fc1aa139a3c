//! A healthy cluster and its pods for the tests of the checks, in which each test breaks one thing.

use std::time::Duration;

use wsmesh_adapter::{Instance, NodeAtServer, NodeId, NodeState, NodeView, ServerInfo, ServerName, ServiceName};

use super::diagnosis::{Finding, Part, Severity};
use super::evidence::{Answer, Cluster, GraceTimes, PodGrace, Pods, Right, Server};
use super::fixes::Fixes;

pub(crate) const NOW: u64 = 1_800_000_000_000;

/// Started an hour ago.
fn instance() -> Instance {
    Instance((NOW - 3_600_000) << 22)
}

pub(crate) fn fixes() -> Fixes {
    Fixes::new(9100, None, None)
}

pub(crate) fn name(name: &str) -> ServerName {
    ServerName::new(name).expect("a name")
}

pub(crate) fn id(id: &str) -> NodeId {
    NodeId::new(id).expect("an id")
}

pub(crate) fn server(name: &str, service: &str) -> Server {
    Server {
        info: ServerInfo {
            name: self::name(name),
            service: ServiceName::new(service).expect("a name"),
            instance: instance(),
            version: wsmesh_bootstrap::VERSION.to_owned(),
            clients: 10,
            rooms: 1,
            heard: vec![id("redis-0"), id("redis-1")],
            counted: true,
            retiring: false,
            age_ms: 300,
        },
        answer: Ok(Answer {
            clients: 10,
            clock_ms: Some(NOW),
            asked_ms: NOW,
            round_trip: Duration::ZERO,
            open_files: Some(100_000),
            grace_ms: Some(25_000),
            drain_ms: (service == "ws-node").then_some(15_000),
            ..Answer::default()
        }),
    }
}

pub(crate) fn node(node: &str, servers: &[&str]) -> NodeView {
    NodeView {
        id: id(node),
        url: url(node),
        epoch: 1,
        state: NodeState::Active,
        servers: servers
            .iter()
            .map(|server| NodeAtServer {
                server: name(server),
                state: Some(NodeState::Active),
                hears: true,
            })
            .collect(),
    }
}

pub(crate) fn url(node: &str) -> String {
    format!("redis://{node}.example:6379#{node}")
}

/// Two ws-nodes and an admin on two nodes.
pub(crate) fn cluster() -> Cluster {
    let names = ["admin-0", "ws-0", "ws-1"];
    Cluster {
        now_ms: NOW,
        servers: vec![
            server("admin-0", "admin"),
            server("ws-0", "ws-node"),
            server("ws-1", "ws-node"),
        ],
        topology: vec![node("redis-0", &names), node("redis-1", &names)],
        configured: ["redis-0", "redis-1"].map(|node| (id(node), url(node))).to_vec(),
        differences: Vec::new(),
        conflicts: Vec::new(),
    }
}

pub(crate) fn answer(server: &mut Server) -> &mut Answer {
    server.answer.as_mut().expect("it answered")
}

/// Pods with enough time to end, and an admin with all rights.
pub(crate) fn pods() -> Pods {
    Pods {
        namespace: "games".to_owned(),
        account: "wsmesh-admin".to_owned(),
        redis: None,
        stateful_set: None,
        servers: vec![grace("ws-0", 35, 5), grace("ws-1", 35, 5)],
        rights: vec![right("get", Ok(true)), right("watch", Ok(true))],
    }
}

pub(crate) fn right(verb: &'static str, is_allowed: Result<bool, String>) -> Right {
    Right {
        verb,
        resource: "endpointslices",
        group: "discovery.k8s.io",
        name: None,
        cluster_role: None,
        purpose: "to show the Redis pods",
        is_allowed,
    }
}

pub(crate) fn grace(server: &str, grace_seconds: u64, sleep_seconds: u64) -> PodGrace {
    PodGrace {
        server: name(server),
        times: Ok(GraceTimes {
            grace_seconds,
            sleep_seconds,
        }),
    }
}

/// The only finding, with a reason and a fix.
pub(crate) fn only(part: &Part) -> &Finding {
    assert_eq!(part.findings.len(), 1, "{part:?}");
    let finding = &part.findings[0];
    assert!(!finding.why.is_empty() && !finding.fix.is_empty(), "{finding:?}");
    finding
}

/// What the findings are about, with how bad it is.
pub(crate) fn about(part: &Part) -> Vec<(Severity, &str)> {
    part.findings
        .iter()
        .map(|finding| (finding.severity, finding.about.as_str()))
        .collect()
}
