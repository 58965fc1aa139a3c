//! What the nodes say about themselves, and the check of an address before it becomes a node.

use std::collections::HashSet;

use futures_util::Stream;

use super::adapter::Adapter;
use super::gather::sorted;
use crate::cluster::Parting;
use crate::error::TopologyError;
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::target::Target;
use crate::flow::inward::preflight::{Candidate, PREFLIGHT};
use crate::life::examiner::examine_alone;
use crate::life::preflights::{FactsOfNode, Preflights};
use crate::nodes::{NodeUrl, Preflight};
use crate::options::Options;
use crate::wire::{Payload, ServerName};

/// At least so many other servers check an address.
const OTHERS: usize = 2;
/// At most so many do, one of each service.
const MOST_OTHERS: usize = 5;
/// The time limit of a preflight, in time limits of one command: two for the address, one for comparing it with the nodes,
/// one for the way.
const LIMITS: u32 = 4;

impl Adapter {
    /// What each node says about itself, sorted by id. All are asked at once, each within
    /// [`Options::command_timeout`](crate::Options::command_timeout): a node that hangs delays this answer by no more than that.
    /// The connections for it are opened when first needed, and closed when unused for a minute.
    pub async fn node_facts(&self) -> Vec<FactsOfNode> {
        self.parts.inquiries.facts().await
    }

    /// As [`Adapter::node_facts`], with each node's answer as soon as it comes: a node that hangs delays no other. The nodes are
    /// asked while the stream is polled.
    pub fn node_facts_each(&self) -> impl Stream<Item = FactsOfNode> + Send + Unpin + use<> {
        self.parts.inquiries.facts_each()
    }

    /// Checks an address before it is added with [`Adapter::add_node`], whose URLs this takes, too: this server and at least two
    /// others (all, if there are fewer), of different services if possible, try whether they could use it, each with its own
    /// credentials. Takes four times [`Options::command_timeout`](crate::Options::command_timeout) at most.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub async fn preflight(&self, url: &str) -> Result<Preflights, TopologyError> {
        let (_, url) = self.parts.topology.parse(url)?;
        let mut servers = self.checkers();
        servers.push(self.name().clone());
        let options = RequestOptions {
            timeout: Some(self.parts.foundation.options.command_timeout * LIMITS),
            ..RequestOptions::default()
        };
        let outcome = match Payload::new(&Candidate { url: url.clone() }) {
            Ok(candidate) => self.ask(Target::Servers(servers), PREFLIGHT, candidate, options).await,
            Err(error) => Err(error.into()),
        };
        let (servers, missing) = match outcome.map(sorted) {
            Ok(gathered) => (gathered.servers, gathered.missing),
            Err(error) => (Vec::new(), vec![(self.name().clone(), error.to_string())]),
        };
        Ok(Preflights { url, servers, missing })
    }

    /// The other servers that check an address: one of each service first, then more of them.
    fn checkers(&self) -> Vec<ServerName> {
        let roster = self.parts.foundation.members.roster();
        let staying = roster.iter().filter(|(beacon, _)| beacon.parting == Parting::Staying);
        let mut services = HashSet::from([self.service().clone()]);
        let (firsts, more): (Vec<_>, Vec<_>) = staying.partition(|(beacon, _)| services.insert(beacon.service.clone()));
        let more = more.into_iter().take(OTHERS.saturating_sub(firsts.len()));
        let chosen = firsts.into_iter().take(MOST_OTHERS).chain(more);
        chosen.map(|(beacon, _)| beacon.name.clone()).collect()
    }
}

/// Checks whether a server with these options could use a node, without a bus: the URL's own credentials are used, and the
/// Redis is compared with the other nodes of the options. Takes three times
/// [`Options::command_timeout`](crate::Options::command_timeout) at most.
pub async fn preflight_alone(url: &NodeUrl, options: &Options) -> Preflight {
    examine_alone(url, options).await
}
