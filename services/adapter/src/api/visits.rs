//! What a visitor asks: one server at a time, so that each has its own round trip, and a server that hangs delays only its own
//! answer.

use super::adapter::Adapter;
use crate::error::CallError;
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::target::Target;
use crate::flow::inward::queries::{QUERY, Query, StatsPart};
use crate::wire::{Instance, ServerName};

/// A second process was started with the name of a live server, which told it to step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameConflict {
    /// The server that has the name.
    pub server: ServerName,
    /// The younger process, the last one if there were several.
    pub rival: Instance,
}

impl Adapter {
    /// One server's totals and statuses of nodes.
    ///
    /// # Errors
    /// When the server is not in the roster, does not answer in time, or answers something else.
    pub async fn server_stats(&self, server: &ServerName) -> Result<StatsPart, CallError> {
        let target = Target::Server(server.clone());
        self.call_typed(target, QUERY, &Query::Stats, RequestOptions::default())
            .await
    }

    /// Live servers whose name a second process had, as their last beacons say: since they were started.
    pub fn name_conflicts(&self) -> Vec<NameConflict> {
        let roster = self.parts.foundation.members.roster();
        let conflicts = roster.iter().filter_map(|(beacon, _)| {
            Some(NameConflict {
                server: beacon.name.clone(),
                rival: beacon.rival?,
            })
        });
        conflicts.collect()
    }
}
