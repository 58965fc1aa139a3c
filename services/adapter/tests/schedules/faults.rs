//! The faults of a schedule: drawn from a seed, then played.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep_until};
use wsmesh_adapter::{Fault, LinkFault, MemoryBus, NodeId};

use crate::server::Cluster;

/// The delay of a message and of an answer, so that a dying node loses what it holds.
pub(crate) const LATENCY: Duration = Duration::from_millis(2);

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A node dies, and restarts.
    Kill,
    /// Every node dies, and restarts.
    Dark,
    /// A node hangs.
    Pause,
    /// A node accepts everything and delivers nothing.
    Deaf,
    /// A node is slow.
    Delay,
    /// Subscribers of a node are disconnected.
    Slow,
    /// A server's link to a node is cut.
    Cut,
    /// A server's link to a node hangs.
    Hang,
    /// Connections between a server and a node end.
    Reset,
    /// A server's link to a node leads to another one, which is behind the same name.
    Lead,
    /// A server is killed and restarted.
    Restart,
    /// A node is added.
    Add,
    /// A node is drained.
    Drain,
    /// Two changes of the topology at once.
    Two,
}

const KINDS: [Kind; 18] = [
    Kind::Kill,
    Kind::Kill,
    Kind::Dark,
    Kind::Pause,
    Kind::Pause,
    Kind::Deaf,
    Kind::Delay,
    Kind::Slow,
    Kind::Cut,
    Kind::Cut,
    Kind::Hang,
    Kind::Hang,
    Kind::Reset,
    Kind::Lead,
    Kind::Restart,
    Kind::Add,
    Kind::Drain,
    Kind::Two,
];

/// One fault.
#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub(crate) at: f64,
    pub(crate) kind: Kind,
    pub(crate) node: String,
    pub(crate) server: String,
    pub(crate) lasts: f64,
    /// For changes of the topology: which change, by which server, and when after `at`.
    changes: Vec<(Kind, String, String, f64)>,
}

/// The thing that a fault affects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Touched {
    Node(String),
    Link(String, String),
    Server(String),
    Topology,
}

/// A whole schedule.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<String>,
    pub(crate) servers: Vec<String>,
    pub(crate) faults: Vec<Happening>,
    /// The spans, in seconds, in which something is affected.
    pub(crate) spans: HashMap<Touched, Vec<(f64, f64)>>,
    /// Nodes that a change of the topology concerns.
    pub(crate) moved: HashSet<String>,
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = *[2, 3, 3, 4].choose(&mut rng).expect("not empty");
        let nodes: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let servers: Vec<String> = (0..rng.random_range(2..5)).map(|n| format!("s{n}")).collect();
        let mut plan = Self {
            seed,
            nodes,
            servers,
            faults: Vec::new(),
            // At the start, servers do not know each other yet.
            spans: HashMap::from([(Touched::Topology, vec![(0.0, 3.0)])]),
            moved: HashSet::new(),
        };
        let dense = plan.is_dense();
        let count = if dense {
            rng.random_range(3..8)
        } else {
            *[1, 1, 2, 2, 3, 4, 5].choose(&mut rng).expect("not empty")
        };
        for _ in 0..count {
            let at = rng.random_range(6.0..if dense { 14.0 } else { 27.0 });
            plan.add(&mut rng, at);
        }
        if rng.random_bool(0.5) {
            let near = plan.faults.choose(&mut rng).expect("at least one").at;
            let at = (near + rng.random_range(0.05..5.0_f64)).min(28.0);
            plan.add(&mut rng, at);
        }
        plan.faults.sort_by(|a, b| a.at.total_cmp(&b.at));
        plan
    }

    /// Whether there are many faults within seconds, and three times the load.
    pub(crate) fn is_dense(&self) -> bool {
        self.seed.is_multiple_of(3)
    }

    fn add(&mut self, rng: &mut StdRng, at: f64) {
        let kind = *KINDS.choose(rng).expect("not empty");
        let ranges = [(0.1, 2.0), (2.0, 5.0), (5.0, 12.0)];
        let (least, most) = *ranges.choose(rng).expect("not empty");
        let lasts: f64 = rng.random_range(least..most);
        let least = if kind == Kind::Deaf { 1.2 } else { 0.1 };
        let most = if kind == Kind::Restart { 5.0 } else { 30.0 - at };
        let lasts = lasts.min(most).max(least);
        let node = self.nodes.choose(rng).expect("not empty").clone();
        let server = self.servers.choose(rng).expect("not empty").clone();
        let changes = self.draw_changes(rng, kind);
        let touched = match kind {
            Kind::Dark => self
                .nodes
                .iter()
                .map(|node| (Touched::Node(node.clone()), lasts))
                .collect(),
            Kind::Kill | Kind::Pause | Kind::Deaf => vec![(Touched::Node(node.clone()), lasts)],
            Kind::Delay => vec![(Touched::Node(node.clone()), lasts + 5.0)],
            Kind::Slow => vec![(Touched::Node(node.clone()), 3.0)],
            Kind::Cut | Kind::Hang | Kind::Lead => vec![(Touched::Link(server.clone(), node.clone()), lasts)],
            Kind::Reset => vec![(Touched::Link(server.clone(), node.clone()), 3.0)],
            Kind::Restart => vec![(Touched::Server(server.clone()), lasts)],
            Kind::Add | Kind::Drain | Kind::Two => vec![(Touched::Topology, 8.0)],
        };
        for (what, long) in touched {
            self.spans.entry(what).or_default().push((at, at + long));
        }
        self.faults.push(Happening {
            at,
            kind,
            node,
            server,
            lasts,
            changes,
        });
    }

    fn draw_changes(&mut self, rng: &mut StdRng, kind: Kind) -> Vec<(Kind, String, String, f64)> {
        let count = match kind {
            Kind::Add | Kind::Drain => 1,
            Kind::Two => 2,
            _ => 0,
        };
        let spare = ["x0".to_owned(), "x1".to_owned()];
        let all: Vec<String> = self.nodes.iter().chain(&spare).cloned().collect();
        let mut changes = Vec::new();
        for _ in 0..count {
            let what = match kind {
                Kind::Two => *[Kind::Add, Kind::Drain].choose(rng).expect("not empty"),
                one => one,
            };
            let node = all.choose(rng).expect("not empty").clone();
            let by = self.servers.choose(rng).expect("not empty").clone();
            self.moved.insert(node.clone());
            changes.push((what, node, by, rng.random_range(0.0..0.02)));
        }
        changes
    }

    /// Whether nothing affected this between two times.
    pub(crate) fn clear(&self, what: &Touched, from: f64, to: f64) -> bool {
        let spans = self.spans.get(what).into_iter().flatten();
        !spans.into_iter().any(|&(begin, end)| begin < to && from < end)
    }
}

#[derive(Debug)]
enum Act {
    Begin(usize),
    End(usize),
    Change(Kind, String, String),
}

/// Plays a plan, then heals everything.
pub(crate) async fn play(plan: &Plan, bus: &MemoryBus, cluster: &Cluster, end: Duration) {
    let mut acts: Vec<(f64, Act)> = Vec::new();
    for (index, fault) in plan.faults.iter().enumerate() {
        for (what, node, by, after) in &fault.changes {
            acts.push((fault.at + after, Act::Change(*what, node.clone(), by.clone())));
        }
        if fault.changes.is_empty() {
            acts.push((fault.at, Act::Begin(index)));
            acts.push((fault.at + fault.lasts, Act::End(index)));
        }
    }
    acts.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (at, act) in acts {
        sleep_until(cluster.begun + Duration::from_secs_f64(at)).await;
        match act {
            Act::Begin(index) => begin(plan, &plan.faults[index], bus, cluster),
            Act::End(index) => finish(plan, &plan.faults[index], bus, cluster).await,
            Act::Change(what, node, by) => change(what, &node, &by, cluster),
        }
    }
    let healed: Instant = cluster.begun + end + Duration::from_millis(10);
    sleep_until(healed).await;
    for node in plan.nodes.iter().map(String::as_str).chain(["x0", "x1"]) {
        bus.set_fault(node, Fault::None);
        bus.set_delay(node, LATENCY);
        for server in &plan.servers {
            bus.set_link(server, node, LinkFault::None);
        }
    }
    for server in &plan.servers {
        cluster.revive(server).await;
    }
}

/// Sets the fault of the initial nodes; added nodes keep working.
fn all(plan: &Plan, bus: &MemoryBus, fault: Fault) {
    plan.nodes.iter().for_each(|node| _ = bus.set_fault(node, fault));
}

fn lead(bus: &MemoryBus, server: &str, node: &str, to: &str) {
    bus.lead(server, node, to).expect("a valid id");
    bus.reset_link(server, node);
}

fn begin(plan: &Plan, fault: &Happening, bus: &MemoryBus, cluster: &Cluster) {
    let (node, server) = (fault.node.as_str(), fault.server.as_str());
    match fault.kind {
        Kind::Kill => _ = bus.set_fault(node, Fault::Fail),
        Kind::Dark => all(plan, bus, Fault::Fail),
        Kind::Pause => _ = bus.set_fault(node, Fault::Pause),
        Kind::Deaf => _ = bus.set_fault(node, Fault::Lose),
        Kind::Delay => _ = bus.set_delay(node, Duration::from_secs_f64((fault.lasts * 0.7).clamp(0.2, 4.0))),
        Kind::Slow => _ = bus.cut_subscribers(node),
        Kind::Cut => bus.set_link(server, node, LinkFault::Cut),
        Kind::Hang => bus.set_link(server, node, LinkFault::Hang),
        Kind::Reset => bus.reset_link(server, node),
        Kind::Lead => lead(bus, server, node, &format!("{node}-behind")),
        Kind::Restart => cluster.kill(server),
        Kind::Add | Kind::Drain | Kind::Two => {}
    }
}

async fn finish(plan: &Plan, fault: &Happening, bus: &MemoryBus, cluster: &Cluster) {
    let (node, server) = (fault.node.as_str(), fault.server.as_str());
    match fault.kind {
        Kind::Kill | Kind::Pause | Kind::Deaf => _ = bus.set_fault(node, Fault::None),
        Kind::Dark => all(plan, bus, Fault::None),
        Kind::Delay => _ = bus.set_delay(node, LATENCY),
        Kind::Cut | Kind::Hang => bus.set_link(server, node, LinkFault::None),
        Kind::Lead => lead(bus, server, node, node),
        Kind::Restart => cluster.revive(server).await,
        Kind::Slow | Kind::Reset | Kind::Add | Kind::Drain | Kind::Two => {}
    }
}

/// Changes may be rejected (for the last node, or when a server is down), which is correct.
fn change(what: Kind, node: &str, by: &str, cluster: &Cluster) {
    let Some(adapter) = cluster.adapter(by) else { return };
    let _refused = match what {
        Kind::Add => adapter.add_node(&format!("memory:{node}")).map(drop),
        _ => adapter.drain_node(&NodeId::new(node).expect("valid")),
    };
}
