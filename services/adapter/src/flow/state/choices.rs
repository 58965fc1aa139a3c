//! Which nodes may carry a message: active ones that everyone concerned hears. Rebuilt as a whole when the roster or the
//! topology changes, read at every publish.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::cluster::Roster;
use crate::nodes::{Fastest, Kept, Mask, Node, NodeSet, Strategy, cover, nth, rendezvous};
use crate::wire::{NodeId, Runs, ServerName};

/// The current choices: replaced as a whole.
pub(crate) type CurrentChoices = ArcSwap<Choices>;

/// The nodes, and what the other servers hear of them.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    pub(crate) nodes: Arc<NodeSet>,
    /// Nodes that every counted server hears.
    everyone: Mask,
    /// What each counted server hears; equal ones once.
    counted: Vec<Mask>,
    /// Nodes that every live server hears, counted or not.
    all: Mask,
    /// What each live server hears.
    servers: HashMap<ServerName, Mask>,
    /// Nodes that another server hears, too, but as another Redis.
    pub(crate) elsewhere: Vec<(NodeId, ServerName)>,
}

impl Choices {
    /// A node is shared with another server only if both links lead to one Redis, as far as they know: behind a name, there may be
    /// two.
    pub(crate) fn new(nodes: Arc<NodeSet>, roster: &Roster, runs: &Runs) -> Self {
        let mut choices = Self {
            everyone: Mask::MAX,
            all: Mask::MAX,
            ..Self::default()
        };
        for (beacon, _) in roster.iter() {
            let mut heard = 0;
            for (id, index) in beacon.heard.iter().filter_map(|id| Some((id, nodes.index_of(id)?))) {
                match runs.may_be(id, beacon.runs.of(id)) {
                    true => heard |= 1 << index,
                    false => choices.elsewhere.push((id.clone(), beacon.name.clone())),
                }
            }
            choices.all &= heard;
            if beacon.counted {
                choices.everyone &= heard;
                if !choices.counted.contains(&heard) {
                    choices.counted.push(heard);
                }
            }
            choices.servers.insert(beacon.name.clone(), heard);
        }
        Self { nodes, ..choices }
    }

    /// These nodes, as far as they are in use.
    pub(crate) fn mask_of(&self, ids: &[NodeId]) -> Mask {
        let indexes = ids.iter().filter_map(|id| self.nodes.index_of(id));
        indexes.fold(0, |mask, index| mask | 1 << index)
    }

    /// The nodes that this server hears now, draining ones included. Nodes that were interrupted lately are left out, unless
    /// there are no others.
    pub(crate) fn heard(&self, now: Instant) -> Mask {
        let (mut heard, mut steady) = (0, 0);
        for node in self.nodes.iter() {
            heard |= u64::from(node.health.heard(now)) << node.index;
            steady |= u64::from(node.health.steady(now)) << node.index;
        }
        if steady & self.nodes.active == 0 { heard } else { steady }
    }

    /// The nodes that this server may publish through now.
    pub(crate) fn usable(&self, now: Instant) -> Mask {
        self.heard(now) & self.nodes.active
    }

    /// One of the nodes in `mine` that every receiver of a message hears.
    pub(crate) fn pick(&self, picker: &Picker, message: &Kept, mine: Mask) -> Option<&Arc<Node>> {
        let usable = match &message.server {
            Some(server) => self.with_server(server, mine),
            None => self.with_everyone(mine),
        };
        self.nodes.at(picker.pick(&self.nodes, message, usable)?)
    }

    /// For a message to one server: the nodes that both hear. If no beacon of it is known (it asked before its first one came, or
    /// fell silent), any node will do: when a beacon comes, it is served the messages that it missed.
    pub(crate) fn with_server(&self, server: &ServerName, mine: Mask) -> Mask {
        mine & self.servers.get(server).copied().unwrap_or(Mask::MAX)
    }

    /// Whether a server is in the roster.
    pub(crate) fn knows(&self, server: &ServerName) -> bool {
        self.servers.contains_key(server)
    }

    /// For a message to all that subscribed: the nodes that every counted server hears. Any one of them will do.
    pub(crate) fn with_everyone(&self, mine: Mask) -> Mask {
        mine & self.everyone
    }

    /// When no node is heard by all: the smallest set that together reaches everyone.
    pub(crate) fn cover(&self, mine: Mask) -> Option<Mask> {
        cover(mine, &self.counted)
    }

    /// The servers that hear none of the nodes that a message for everyone took.
    pub(crate) fn left_out(&self, used: Mask) -> impl Iterator<Item = &ServerName> {
        let nobody = used & self.all != 0;
        let out = self
            .servers
            .iter()
            .filter(move |(_, heard)| !nobody && *heard & used == 0);
        out.map(|(name, _)| name)
    }
}

/// Picks one of several nodes, as the strategy says.
#[derive(Debug)]
pub(crate) struct Picker {
    strategy: Strategy,
    turn: AtomicU64,
    fastest: Fastest,
}

impl Picker {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            turn: AtomicU64::new(0),
            fastest: Fastest::default(),
        }
    }

    fn pick(&self, nodes: &NodeSet, message: &Kept, usable: Mask) -> Option<usize> {
        let id = |index: usize| nodes.at(index).map_or("", |node| node.id.as_str());
        match self.strategy {
            Strategy::Ordered => rendezvous(message.order_key.as_ref().unwrap_or(&message.channel), usable, id),
            Strategy::Random => nth(usable, rand::random()),
            Strategy::RoundRobin => nth(usable, self.turn.fetch_add(1, Ordering::Relaxed)),
            Strategy::Fastest => self.fastest.pick(usable, |index| smooth_rtt(nodes, index)),
        }
    }

    /// Looks at the nodes' round trips.
    pub(crate) fn judge(&self, choices: &Choices, now: Instant) {
        self.fastest
            .judge(choices.usable(now), |index| smooth_rtt(&choices.nodes, index));
    }
}

fn smooth_rtt(nodes: &NodeSet, index: usize) -> Option<Duration> {
    nodes.at(index)?.health.smooth_rtt()
}
