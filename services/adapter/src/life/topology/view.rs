//! The topology for people: this server's map, and what the others report about it.

use serde::Deserialize;
use tokio::time::Instant;

use super::TopologyInUse;
use crate::life::node_view::{NodeAtServer, NodeState, NodeView};
use crate::nodes::{Phase, TopologyEntries, TopologyEntry};
use crate::wire::{NodeId, ServerName};

impl TopologyInUse {
    /// The nodes as this server's map has them, with what each live server reports about them.
    pub(crate) fn view(&self) -> Vec<NodeView> {
        let mine = self.hearing.node_ids(Instant::now());
        let (entries, heard_by_all) = {
            let plan = self.plan.lock();
            (plan.topology.entries().clone(), plan.heard_by_all.clone())
        };
        let others = self.other_maps();
        let view = |(id, entry): (&NodeId, &TopologyEntry)| {
            let me = NodeAtServer {
                server: self.options.name.clone(),
                state: Some(entry.state.into()),
                hears: mine.contains(id),
            };
            let theirs = others.iter().map(|(server, map, heard)| NodeAtServer {
                server: server.clone(),
                state: map.get(id).map(|entry| entry.state.into()),
                hears: heard.contains(id),
            });
            let mut servers: Vec<_> = theirs.chain([me]).collect();
            servers.sort_by(|a, b| a.server.cmp(&b.server));
            let joining = entry.state == Phase::Active && !heard_by_all.contains(&(id.clone(), entry.epoch));
            let state = if joining {
                NodeState::Joining
            } else {
                entry.state.into()
            };
            NodeView {
                id: id.clone(),
                url: entry.url.clone(),
                epoch: entry.epoch,
                state,
                servers,
            }
        };
        entries.iter().map(view).collect()
    }

    /// The other servers' maps, and the nodes that each hears. Servers that only visit have none.
    fn other_maps(&self) -> Vec<(ServerName, TopologyEntries, Vec<NodeId>)> {
        let roster = self.members.roster();
        let others = roster.iter().filter(|(beacon, _)| !beacon.topology.is_null());
        let others = others.map(|(beacon, _)| {
            let map = TopologyEntries::deserialize(&beacon.topology).unwrap_or_default();
            (beacon.name.clone(), map, beacon.heard.clone())
        });
        others.collect()
    }
}
