//! The topology in use: this server follows the map of nodes. Changes travel in beacons; every server follows the same map.
//!
//! Nodes that are new get a task, nodes that are gone lose theirs. A node's slot is given to another only after its task has
//! ended.

mod divided;
mod statuses;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::endpoints::{Barred, Endpoints};
use crate::error::TopologyError;
use crate::flow::state::choices::{Choices, CurrentChoices};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::hearing::Hearing;
use crate::flow::state::members::Members;
use crate::metrics::Metrics;
use crate::nodes::{
    Copies, Endpoint, Health, Interest, MAX_NODES, Mask, Node, NodeSet, NodeStatus, NodeUrl, Phase, Rejected,
    RunsInUse, Topology, TopologyEntries, TopologyEntry, Window,
};
use crate::options::Options;
use crate::wire::NodeId;
use divided::Divided;

/// The map of nodes, and which of them are in use.
#[derive(Debug)]
struct Plan {
    topology: Topology,
    /// Slots whose task has not ended.
    busy: Mask,
    /// URLs of the nodes in use.
    urls: HashMap<NodeId, String>,
    /// Nodes, with their epochs, that every counted server has heard.
    heard_by_all: HashSet<(NodeId, u64)>,
    /// Nodes whose task is to be started.
    starts: mpsc::UnboundedSender<Arc<Node>>,
}

/// The nodes that this server uses.
#[derive(Debug)]
pub(crate) struct TopologyInUse {
    plan: Mutex<Plan>,
    endpoints: Endpoints,
    options: Arc<Options>,
    choices: Arc<CurrentChoices>,
    hearing: Arc<Hearing>,
    members: Arc<Members>,
    interest: Arc<Interest>,
    runs: Arc<RunsInUse>,
    divided: Mutex<Divided>,
    window: Arc<Window>,
    copies: Arc<Copies>,
    statuses: watch::Sender<Arc<Vec<NodeStatus>>>,
    metrics: Arc<Metrics>,
}

/// Nodes whose task is to be started.
pub(crate) type Starts = mpsc::UnboundedReceiver<Arc<Node>>;

/// The messages that were published lately, and those to be published again.
pub(crate) type Replay = (Arc<Window>, Arc<Copies>);

impl TopologyInUse {
    pub(crate) fn new(
        foundation: &Foundation,
        (endpoints, seeds): (Endpoints, Vec<(NodeId, String)>),
        interest: Arc<Interest>,
        (window, copies): Replay,
        statuses: watch::Sender<Arc<Vec<NodeStatus>>>,
    ) -> (Self, Starts) {
        // Bounded by the nodes: a start takes a node's slot, which is free again only after the node's task has ended.
        let (starts, receiver) = mpsc::unbounded_channel();
        let plan = Plan {
            topology: Topology::new(seeds),
            busy: 0,
            urls: HashMap::new(),
            heard_by_all: HashSet::new(),
            starts,
        };
        let on = foundation.clone();
        let in_use = Self {
            plan: Mutex::new(plan),
            endpoints,
            options: on.options,
            choices: on.choices,
            hearing: on.hearing,
            members: on.members,
            interest,
            runs: Arc::default(),
            divided: Mutex::default(),
            window,
            copies,
            statuses,
            metrics: on.metrics,
        };
        in_use.follow();
        (in_use, receiver)
    }

    /// The map of nodes.
    pub(crate) fn entries(&self) -> TopologyEntries {
        self.plan.lock().topology.entries().clone()
    }

    /// The nodes in use.
    pub(crate) fn nodes(&self) -> Arc<NodeSet> {
        self.choices.load().nodes.clone()
    }

    /// Which Redis each node's link leads to.
    pub(crate) fn runs(&self) -> &Arc<RunsInUse> {
        &self.runs
    }

    /// Reads the URL of a node that is to be added for everyone: its id, and the URL that travels.
    pub(crate) fn parse(&self, url: &str) -> Result<(NodeId, String), TopologyError> {
        self.endpoints.parse(url)
    }

    /// An address that may become a node; an error says why it cannot be tried from here at all.
    pub(crate) async fn candidate(&self, id: &NodeId, url: &str) -> Result<Arc<dyn Endpoint>, Barred> {
        self.endpoints.candidate(id, url).await
    }

    /// Adds a node for the whole cluster.
    pub(crate) fn add(&self, url: &str) -> Result<NodeId, TopologyError> {
        let (id, url) = self.endpoints.parse(url)?;
        let change = {
            let mut plan = self.plan.lock();
            let entries = plan.topology.entries();
            let in_use = entries.values().filter(|entry| entry.state != Phase::Gone).count();
            if in_use >= MAX_NODES && entries.get(&id).is_none_or(|entry| entry.state == Phase::Gone) {
                return Err(TopologyError::TooMany(in_use));
            }
            plan.topology.add(&id, &url, Instant::now())
        };
        match change {
            Ok(true) => {
                tracing::info!(node = %id, %url, "node added");
                self.count_change("add");
                self.follow();
                Ok(id)
            }
            Ok(false) => Ok(id),
            Err(Rejected::Elsewhere(url)) => Err(TopologyError::Elsewhere { id, url }),
            Err(Rejected::Unknown | Rejected::Last) => Err(TopologyError::Unknown(id)),
        }
    }

    /// Nodes were found that may be unknown here. Their URLs travel without credentials, like all others.
    pub(crate) fn suggest(&self, nodes: &[NodeUrl]) {
        let nodes = nodes.iter().map(|url| (url.id().clone(), url.to_string()));
        let added = self.plan.lock().topology.suggest(nodes, Instant::now());
        if added.is_empty() {
            return;
        }
        let names: Vec<_> = added.iter().map(NodeId::as_str).collect();
        tracing::info!(nodes = names.join(" "), "Redis nodes found");
        self.count_change("found");
        self.follow();
    }

    /// Whether senders may use any node, heard or not.
    pub(crate) fn has_active(&self) -> bool {
        self.plan.lock().topology.active().next().is_some()
    }

    /// Drains a node, for the whole cluster.
    pub(crate) fn drain(&self, id: &NodeId) -> Result<(), TopologyError> {
        if self.endpoints.is_none() {
            return Err(TopologyError::Alone);
        }
        let change = {
            let mut plan = self.plan.lock();
            let choices = self.choices.load_full();
            let heard_by_all = choices.with_everyone(choices.usable(Instant::now()));
            let others = choices
                .nodes
                .index_of(id)
                .map_or(heard_by_all, |index| heard_by_all & !(1 << index));
            let entry = plan.topology.entries().get(id);
            if entry.is_some_and(|entry| entry.state == Phase::Active) && others == 0 {
                return Err(TopologyError::LastNode(id.clone()));
            }
            plan.topology.drain(id, Instant::now())
        };
        match change {
            Ok(true) => {
                tracing::info!(node = %id, "draining node");
                self.count_change("drain");
                self.follow();
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(Rejected::Last) => Err(TopologyError::LastNode(id.clone())),
            Err(_) => Err(TopologyError::Unknown(id.clone())),
        }
    }

    /// Another server's map came with its beacon.
    pub(crate) fn merge(&self, theirs: &TopologyEntries) {
        let news = self.plan.lock().topology.merge(theirs, Instant::now());
        if news {
            self.count_change("beacon");
            self.follow();
        }
    }

    /// Time passes: drained nodes are gone after a while.
    pub(crate) fn tick(&self, now: Instant) {
        let changed = self.plan.lock().topology.tick(now, self.options.replay_window);
        if changed {
            self.count_change("time");
            self.follow();
        }
        self.note_heard_by_all();
        self.divided.lock().judge(&self.choices.load().elsewhere, now);
    }

    /// A node's task has ended: its slot may be used again.
    pub(crate) fn free_slot(&self, index: usize) {
        self.plan.lock().busy &= !(1 << index);
        self.follow();
    }

    fn count_change(&self, trigger: &str) {
        self.metrics.nodes.changes.with_label_values(&[trigger, "ok"]).inc();
    }

    /// Puts the topology into use: starts nodes that are new, stops those that are gone.
    fn follow(&self) {
        let mut plan = self.plan.lock();
        let plan = &mut *plan;
        let mut nodes = NodeSet::clone(&self.choices.load().nodes);
        let entries = plan.topology.entries().clone();
        let mut unused = Vec::new();
        for (id, entry) in &entries {
            if self.stop_if_unused(plan, &mut nodes, id, entry) {
                unused.push(id);
            }
            if entry.state == Phase::Gone {
                continue;
            }
            if nodes.index_of(id).is_none() && !self.start(plan, &mut nodes, id, &entry.url) {
                continue;
            }
            if let Some(index) = nodes.index_of(id) {
                let bit = 1 << index;
                nodes.active = if entry.state == Phase::Active {
                    nodes.active | bit
                } else {
                    nodes.active & !bit
                };
            }
        }
        let active = entries.iter().filter(|(_, entry)| entry.state == Phase::Active);
        self.runs.set_active(active.map(|(id, _)| id.clone()));
        self.choose_among(Arc::new(nodes));
        // Not earlier: nothing that still sees these nodes in use may write their metrics again.
        unused.iter().for_each(|id| self.metrics.nodes.forget(id.as_str()));
        self.hearing.changed().notify_one();
    }

    /// Stops a node that is gone, or that has moved to another URL; whether it did.
    fn stop_if_unused(&self, plan: &Plan, nodes: &mut NodeSet, id: &NodeId, entry: &TopologyEntry) -> bool {
        let Some(index) = nodes.index_of(id) else {
            return false;
        };
        let gone = entry.state == Phase::Gone;
        let moved = !self.endpoints.has_own(id) && !gone && plan.urls.get(id) != Some(&entry.url);
        if moved {
            self.copies.extend(self.window.take(index, Instant::now()));
        }
        if moved || gone {
            tracing::info!(node = %id, "node is no longer used");
            self.window.retire(index);
            if let Some(node) = nodes.remove(index) {
                node.stop.cancel();
            }
        }
        moved || gone
    }

    /// Starts a node; `false` if there is no slot for it.
    fn start(&self, plan: &mut Plan, nodes: &mut NodeSet, id: &NodeId, url: &str) -> bool {
        let Some(index) = nodes.free_slot(plan.busy) else {
            tracing::error!(node = %id, "node cannot be used: there are {MAX_NODES} already; drain another one first");
            return false;
        };
        let health = Health::new(self.options.probe_interval, self.interest.owing(index), Instant::now());
        let endpoint = self.endpoints.endpoint(id, url);
        let node = Arc::new(Node::new(id.clone(), index, endpoint, health));
        plan.urls.insert(id.clone(), url.to_owned());
        plan.busy |= 1 << index;
        nodes.insert(node.clone());
        // Fails only when the driver has ended.
        let _ = plan.starts.send(node);
        true
    }

    /// The roster, or what links lead to, changed: so do the choices.
    pub(crate) fn rebuild_choices(&self) {
        let _one_at_a_time = self.plan.lock();
        self.choose_among(self.nodes());
    }

    fn choose_among(&self, nodes: Arc<NodeSet>) {
        let choices = Choices::new(nodes, &self.members.roster(), &self.runs.all());
        self.choices.store(Arc::new(choices));
    }

    fn note_heard_by_all(&self) {
        let mut plan = self.plan.lock();
        let plan = &mut *plan;
        let choices = self.choices.load_full();
        let heard = choices.with_everyone(choices.usable(Instant::now()));
        plan.heard_by_all.retain(|(id, epoch)| {
            let entry = plan.topology.entries().get(id);
            entry.is_some_and(|entry| entry.epoch == *epoch)
        });
        for (id, entry) in plan.topology.entries() {
            if choices.nodes.index_of(id).is_some_and(|index| heard & 1 << index != 0) {
                plan.heard_by_all.insert((id.clone(), entry.epoch));
            }
        }
    }
}
