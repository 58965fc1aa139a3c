//! Nodes at run time: what the topology says is put into use here, and changed by the public verbs. Changes travel in
//! beacons; every server follows the same map.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::adapter::{Adapter, Inner};
use crate::choices::Choices;
use crate::error::TopologyError;
use crate::nodes::{Health, MAX_NODES, Mask, Node, NodeSet, Phase, Rejected, Topology, TopologyEntries};
use crate::wire::{NodeId, ServerName};

/// Where a node is in its life, as people are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// To be used, but not every counted server has heard it yet: nobody chooses it for everyone until then.
    Joining,
    /// Used.
    Active,
    /// Senders have stopped; subscribers stay for the replay window.
    Draining,
    /// Nobody uses it. The id may be added again.
    Gone,
}

impl From<Phase> for NodeState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Active => Self::Active,
            Phase::Draining => Self::Draining,
            Phase::Gone => Self::Gone,
        }
    }
}

/// One node of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// How servers without a URL of their own for it reach it; without credentials.
    pub url: String,
    /// How often it was made active.
    pub epoch: u64,
    /// Where it is in its life.
    pub state: NodeState,
    /// What each live server, this one included, says of it; sorted by name.
    pub servers: Vec<NodeAtServer>,
}

/// What one server says of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAtServer {
    /// The server.
    pub server: ServerName,
    /// Where the node is in that server's map; none if it does not know it yet.
    pub state: Option<NodeState>,
    /// Whether that server hears it.
    pub hears: bool,
}

/// The topology, and what of it is in use.
#[derive(Debug)]
pub(crate) struct Plan {
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

impl Plan {
    pub(crate) fn new(seeds: Vec<(NodeId, String)>) -> (Self, mpsc::UnboundedReceiver<Arc<Node>>) {
        let (starts, receiver) = mpsc::unbounded_channel();
        let plan = Self {
            topology: Topology::new(seeds),
            busy: 0,
            urls: HashMap::new(),
            heard_by_all: HashSet::new(),
            starts,
        };
        (plan, receiver)
    }

    pub(crate) fn entries(&self) -> &TopologyEntries {
        self.topology.entries()
    }
}

impl Adapter {
    /// The nodes as this server's map has them, gone ones included, sorted by id, with what each live server says of them.
    pub fn topology(&self) -> Vec<NodeView> {
        self.inner.topology_view()
    }

    /// Adds a node for the whole cluster: `redis://host:port#id`, or `memory:id` on the embedded bus. Servers use their own
    /// URL for its id if they have one, else this one with their own credentials. Adding twice is adding once; adding a
    /// draining node calls the draining off. Resolves nothing: [`Adapter::topology`] shows the progress on every server.
    ///
    /// # Errors
    /// When the URL cannot be used, carries credentials (they do not travel), or its id belongs to another node.
    pub fn add_node(&self, url: &str) -> Result<NodeId, TopologyError> {
        let inner = &self.inner;
        let (id, url) = inner.endpoints.parse(url)?;
        let change = {
            let mut plan = inner.plan();
            let in_use = plan
                .entries()
                .values()
                .filter(|entry| entry.state != Phase::Gone)
                .count();
            if in_use >= MAX_NODES && plan.entries().get(&id).is_none_or(|entry| entry.state == Phase::Gone) {
                return Err(TopologyError::TooMany(in_use));
            }
            plan.topology.add(&id, &url, Instant::now())
        };
        match change {
            Ok(true) => {
                tracing::info!(node = %id, %url, "node added");
                inner.count_change("add");
                inner.follow_topology();
                Ok(id)
            }
            Ok(false) => Ok(id),
            Err(Rejected::Elsewhere(url)) => Err(TopologyError::Elsewhere { id, url }),
            Err(Rejected::Unknown | Rejected::Last) => Err(TopologyError::Unknown(id)),
        }
    }

    /// Drains a node, for the whole cluster: nobody publishes through it any more, subscribers stay for the replay window,
    /// then it is gone. Draining twice is draining once. [`Adapter::topology`] shows the progress.
    ///
    /// # Errors
    /// When there is no such node, or no other active one that every counted server hears.
    pub fn drain_node(&self, id: &NodeId) -> Result<(), TopologyError> {
        let inner = &self.inner;
        if inner.alone {
            return Err(TopologyError::Alone);
        }
        let change = {
            let mut plan = inner.plan();
            let choices = inner.choices.load_full();
            let heard_by_all = choices.with_everyone(choices.usable(Instant::now()));
            let others = choices
                .nodes
                .index_of(id)
                .map_or(heard_by_all, |index| heard_by_all & !(1 << index));
            let active = plan.entries().get(id).is_some_and(|entry| entry.state == Phase::Active);
            if active && others == 0 {
                return Err(TopologyError::LastNode(id.clone()));
            }
            plan.topology.drain(id, Instant::now())
        };
        match change {
            Ok(true) => {
                tracing::info!(node = %id, "node is drained");
                inner.count_change("drain");
                inner.follow_topology();
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(Rejected::Last) => Err(TopologyError::LastNode(id.clone())),
            Err(_) => Err(TopologyError::Unknown(id.clone())),
        }
    }
}

impl Inner {
    fn count_change(&self, trigger: &str) {
        self.metrics.topology_changes.with_label_values(&[trigger, "ok"]).inc();
    }

    /// Another server's map came with its beacon.
    pub(crate) fn merge_topology(&self, theirs: &TopologyEntries) {
        let news = self.plan().topology.merge(theirs, Instant::now());
        if news {
            self.count_change("beacon");
            self.follow_topology();
        }
    }

    /// Time passes: drained nodes are gone some day.
    pub(crate) fn tick_topology(&self, now: Instant) {
        let changed = self.plan().topology.tick(now, self.options.replay_window);
        if changed {
            self.count_change("time");
            self.follow_topology();
        }
        self.note_heard_by_all();
    }

    /// A node's task has ended: its slot may be used again.
    pub(crate) fn free_slot(&self, index: usize) {
        self.plan().busy &= !(1 << index);
        self.follow_topology();
    }

    /// Puts the topology into use: starts nodes that are new, stops those that are gone.
    pub(crate) fn follow_topology(&self) {
        let mut plan = self.plan();
        let plan = &mut *plan;
        let mut nodes = NodeSet::clone(&self.choices.load().nodes);
        for (id, entry) in plan.topology.entries() {
            if let Some(index) = nodes.index_of(id) {
                let moved =
                    !self.endpoints.has_own(id) && entry.state != Phase::Gone && plan.urls.get(id) != Some(&entry.url);
                if moved {
                    self.copies.extend(self.window.take(index, Instant::now()));
                }
                if moved || entry.state == Phase::Gone {
                    tracing::info!(node = %id, "node is no longer used");
                    self.window.retire(index);
                    self.metrics.forget_node(id.as_str());
                    if let Some(node) = nodes.remove(index) {
                        node.stop.cancel();
                    }
                }
            }
            if entry.state == Phase::Gone {
                continue;
            }
            if nodes.index_of(id).is_none() {
                let Some(index) = nodes.free_slot(plan.busy) else {
                    tracing::error!(node = %id, "node cannot be used: there are {MAX_NODES} already");
                    continue;
                };
                let node = self.new_node(id, index, &entry.url);
                plan.urls.insert(id.clone(), entry.url.clone());
                plan.busy |= 1 << index;
                nodes.insert(node.clone());
                // Fails only when the driver has ended.
                let _ = plan.starts.send(node);
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
        self.choices
            .store(Arc::new(Choices::new(Arc::new(nodes), &self.roster())));
        self.changed.notify_one();
    }

    fn new_node(&self, id: &NodeId, index: usize, url: &str) -> Arc<Node> {
        let health = Health::new(self.options.probe_interval, self.interest.owing(index), Instant::now());
        Arc::new(Node::new(id.clone(), index, self.endpoints.endpoint(id, url), health))
    }

    /// The roster changed: the choices are made anew.
    pub(crate) fn rebuild_choices(&self) {
        let _one_at_a_time = self.plan();
        let nodes = self.choices.load().nodes.clone();
        self.choices.store(Arc::new(Choices::new(nodes, &self.roster())));
    }

    fn note_heard_by_all(&self) {
        let mut plan = self.plan();
        let plan = &mut *plan;
        let choices = self.choices.load_full();
        let heard = choices.with_everyone(choices.usable(Instant::now()));
        plan.heard_by_all.retain(|(id, epoch)| {
            plan.topology
                .entries()
                .get(id)
                .is_some_and(|entry| entry.epoch == *epoch)
        });
        for (id, entry) in plan.topology.entries() {
            if choices.nodes.index_of(id).is_some_and(|index| heard & 1 << index != 0) {
                plan.heard_by_all.insert((id.clone(), entry.epoch));
            }
        }
    }

    fn topology_view(&self) -> Vec<NodeView> {
        let heard = self.choices.load().clone();
        let mine = heard.heard(Instant::now());
        let (entries, heard_by_all) = {
            let plan = self.plan();
            (plan.entries().clone(), plan.heard_by_all.clone())
        };
        let others: Vec<_> = {
            let roster = self.roster();
            let others = roster.iter().map(|(beacon, _)| {
                let map = TopologyEntries::deserialize(&beacon.topology).unwrap_or_default();
                (beacon.name.clone(), map, beacon.heard.clone())
            });
            others.collect()
        };
        let view = |(id, entry): (&NodeId, &crate::nodes::TopologyEntry)| {
            let me = NodeAtServer {
                server: self.options.name.clone(),
                state: Some(entry.state.into()),
                hears: heard.nodes.index_of(id).is_some_and(|index| mine & 1 << index != 0),
            };
            let mut servers: Vec<_> = others
                .iter()
                .map(|(server, map, heard)| NodeAtServer {
                    server: server.clone(),
                    state: map.get(id).map(|entry| entry.state.into()),
                    hears: heard.contains(id),
                })
                .chain([me])
                .collect();
            servers.sort_by(|a, b| a.server.cmp(&b.server));
            let joining = entry.state == Phase::Active && !heard_by_all.contains(&(id.clone(), entry.epoch));
            NodeView {
                id: id.clone(),
                url: entry.url.clone(),
                epoch: entry.epoch,
                state: if joining {
                    NodeState::Joining
                } else {
                    entry.state.into()
                },
                servers,
            }
        };
        entries.iter().map(view).collect()
    }

    /// Sets the gauges of the topology.
    pub(crate) fn measure_topology(&self) {
        let view = self.topology_view();
        let states = [
            NodeState::Joining,
            NodeState::Active,
            NodeState::Draining,
            NodeState::Gone,
        ];
        for (state, label) in states.into_iter().zip(["joining", "active", "draining", "gone"]) {
            let count = view.iter().filter(|node| node.state == state).count();
            self.metrics
                .topology_nodes
                .with_label_values(&[label])
                .set(count as i64);
        }
        let agreed = |node: &NodeView| {
            let states: HashSet<_> = node.servers.iter().map(|server| server.state).collect();
            states.len() <= 1
        };
        self.metrics.topology_agreed.set(i64::from(view.iter().all(agreed)));
    }
}
