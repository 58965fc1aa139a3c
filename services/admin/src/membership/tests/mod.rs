//! What happens to the topology: admins on the embedded bus, in paused time. What is found and who leads is as the test says.

mod cluster;
mod leading;
mod nodes;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};
use wsmesh_adapter::{Bus, Driver, Fault, MemoryBus, NodeId, NodeState, Options, ServerName, ServiceName, Started};

use super::*;
use crate::discovery::{Found, FoundNode, Scripted};
use crate::gather::{Lack, NodeDifference};
use crate::jobs::JOB_LIMIT;
use crate::kubernetes::ScriptedLead;

const LIMIT: Duration = Duration::from_secs(180);
const WINDOW: Duration = Duration::from_secs(6);

/// One admin. Dropping it ends it without a goodbye.
struct Admin {
    adapter: Adapter,
    _driver: Driver,
    jobs: Jobs,
    membership: Membership,
    lead: ScriptedLead,
    said: watch::Sender<Arc<Found>>,
}

fn bus(nodes: &[&str]) -> MemoryBus {
    MemoryBus::new(nodes.iter().copied()).expect("good ids")
}

async fn start_adapter(name: &str, bus: &MemoryBus) -> Started {
    let started = begin_adapter(name, bus);
    timeout(LIMIT, started.adapter.ready())
        .await
        .expect("it is ready in time");
    started
}

/// It may not be ready yet.
fn begin_adapter(name: &str, bus: &MemoryBus) -> Started {
    let mut options = Options::new(
        ServerName::new(name).expect("a name"),
        ServiceName::new("admin").expect("a name"),
    );
    options.bus = Bus::Memory(bus.clone());
    options.replay_window = WINDOW;
    Adapter::start(options).expect("starts")
}

/// An admin that finds this; `other` leads until it is told otherwise.
async fn admin(name: &str, other: &str, bus: &MemoryBus, found: Found) -> Admin {
    run_admin(name, other, start_adapter(name, bus).await, found)
}

fn run_admin(name: &str, other: &str, started: Started, found: Found) -> Admin {
    let Started { adapter, driver, .. } = started;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, WINDOW);
    tokio::spawn(jobs.clone().run(CancellationToken::new()));
    let (lead, leadership) = Leadership::scripted(name, other);
    let names = PodNames::embedded("redis");
    let membership = Membership::new(adapter.clone(), jobs.clone(), leadership, Events::nowhere(), names);
    let (said, discovery) = Scripted::new(found);
    tokio::spawn(membership.clone().run(discovery, CancellationToken::new()));
    Admin {
        adapter,
        _driver: driver,
        jobs,
        membership,
        lead,
        said,
    }
}

async fn leader(bus: &MemoryBus, found: Found) -> Admin {
    let admin = admin("admin-1", "admin-2", bus, found).await;
    admin.lead.give();
    admin
}

fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("an id")
}

fn found(replicas: u32, pods: &[(u32, bool)]) -> Found {
    let names = PodNames::embedded("redis");
    let pod = |(ordinal, ready): &(u32, bool)| {
        let (id, url) = names.node(*ordinal).expect("a node");
        FoundNode {
            ordinal: Some(*ordinal),
            id,
            url,
            ready: *ready,
        }
    };
    Found {
        nodes: pods.iter().map(pod).collect(),
        replicas: Some(replicas),
        problem: None,
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut every = interval(Duration::from_millis(100));
    let waiting = async {
        while !is_so() {
            every.tick().await;
        }
    };
    timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}, in time"));
}

impl Admin {
    fn find(&self, found: Found) {
        self.said.send_replace(Arc::new(found));
    }

    fn state(&self, node: &str) -> Option<(NodeState, u64)> {
        let nodes = self.adapter.topology().into_iter();
        let mut nodes = nodes.filter(|view| view.id.as_str() == node);
        nodes.next().map(|view| (view.state, view.epoch))
    }

    fn is(&self, node: &str, state: NodeState) -> bool {
        self.state(node).is_some_and(|(is, _)| is == state)
    }

    async fn becomes(&self, node: &str, state: NodeState) {
        until(&format!("{node} is {state:?}"), || self.is(node, state)).await;
    }

    fn view(&self) -> MembershipView {
        self.membership.view()
    }

    fn lacks(&self) -> Vec<(String, Lack)> {
        let differences = self.view().differences.into_iter();
        differences
            .map(|NodeDifference { node, lack, .. }| (node.to_string(), lack))
            .collect()
    }

    /// That nothing happens in a long time.
    async fn changes_nothing(&self) {
        let before = self.adapter.topology();
        sleep(Duration::from_secs(30)).await;
        assert_eq!(self.adapter.topology(), before);
        assert!(self.jobs.list().is_empty());
    }
}
