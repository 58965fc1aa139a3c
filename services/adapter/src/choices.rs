//! Which nodes may carry a message: those that everyone concerned hears. Rebuilt when the roster changes, read at every
//! publish. A pure value.

use std::collections::HashMap;

use crate::cluster::Roster;
use crate::nodes::{Mask, cover};
use crate::wire::{NodeId, ServerName};

/// What the other servers hear.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// Nodes that every counted server hears.
    everyone: Mask,
    /// What each counted server hears; equal ones once.
    counted: Vec<Mask>,
    /// What each live server hears.
    servers: HashMap<ServerName, Mask>,
}

impl Choices {
    /// While no other server is known.
    pub(crate) fn alone() -> Self {
        Self {
            everyone: Mask::MAX,
            ..Self::default()
        }
    }

    pub(crate) fn new(roster: &Roster, index_of: impl Fn(&NodeId) -> Option<usize>) -> Self {
        let mut choices = Self::alone();
        for (beacon, _) in roster.iter() {
            let heard = beacon
                .heard
                .iter()
                .filter_map(&index_of)
                .fold(0, |mask, index| mask | 1 << index);
            if beacon.counted {
                choices.everyone &= heard;
                if !choices.counted.contains(&heard) {
                    choices.counted.push(heard);
                }
            }
            choices.servers.insert(beacon.name.clone(), heard);
        }
        choices
    }

    /// For a message to one server: the nodes that both hear.
    pub(crate) fn with_server(&self, server: &ServerName, mine: Mask) -> Mask {
        mine & self.servers.get(server).copied().unwrap_or(0)
    }

    /// For a message to whoever subscribed: the nodes that all hear, any one of which will do.
    pub(crate) fn with_everyone(&self, mine: Mask) -> Mask {
        mine & self.everyone
    }

    /// When no node is heard by all: the smallest set that together reaches everyone.
    pub(crate) fn cover(&self, mine: Mask) -> Option<Mask> {
        cover(mine, &self.counted)
    }
}
