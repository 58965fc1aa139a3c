//! What the nodes say about themselves, and the check of an address before it becomes a node.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;

use super::adapter::Adapter;
use super::gather::sorted;
use crate::cluster::{Beacon, Parting};
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
    /// credentials. If one does not answer, another one is asked while there is time. Takes four times
    /// [`Options::command_timeout`](crate::Options::command_timeout) at most.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub async fn preflight(&self, url: &str) -> Result<Preflights, TopologyError> {
        let (_, url) = self.parts.topology.parse(url)?;
        let limit = self.parts.foundation.options.command_timeout;
        let deadline = Instant::now() + limit * LIMITS;
        let (mut asked, mut others) = self.checkers();
        asked.push(self.name().clone());
        // This server is one of them.
        let wanted = 1 + OTHERS.min(asked.len() + others.len() - 1);
        let mut found = Preflights {
            url,
            servers: Vec::new(),
            missing: Vec::new(),
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.check_at(asked, left, &mut found).await;
            let fewer = wanted.saturating_sub(found.servers.len()).min(others.len());
            if fewer == 0 || deadline.saturating_duration_since(Instant::now()) < limit {
                break;
            }
            asked = others.drain(..fewer).collect();
        }
        found.servers.sort_by(|a, b| a.0.cmp(&b.0));
        found.missing.sort();
        Ok(found)
    }

    /// Lets these servers check an address.
    async fn check_at(&self, servers: Vec<ServerName>, limit: Duration, found: &mut Preflights) {
        let options = RequestOptions {
            timeout: Some(limit),
            ..RequestOptions::default()
        };
        let candidate = Candidate { url: found.url.clone() };
        let outcome = match Payload::new(&candidate) {
            Ok(candidate) => {
                let target = Target::Servers(servers.clone());
                self.ask(target, PREFLIGHT, candidate, options).await
            }
            Err(error) => Err(error.into()),
        };
        match outcome.map(sorted) {
            Ok(gathered) => {
                found.servers.extend(gathered.servers);
                found.missing.extend(gathered.missing);
            }
            Err(error) => {
                let missing = servers.into_iter().map(|server| (server, error.to_string()));
                found.missing.extend(missing);
            }
        }
    }

    /// The other servers that check an address, and those that do in their place, the best ones first: those that count before
    /// those that are starting, one of each service before more of them. Servers that only visit use no nodes, so they do not.
    fn checkers(&self) -> (Vec<ServerName>, Vec<ServerName>) {
        let roster = self.parts.foundation.members.roster();
        let able = |beacon: &&Beacon| beacon.parting == Parting::Staying && !beacon.topology.is_null();
        let able = roster.iter().map(|(beacon, _)| beacon).filter(able);
        let (counted, starting): (Vec<_>, Vec<_>) = able.partition(|beacon| beacon.counted);
        let mut services = HashSet::from([self.service().clone()]);
        let (firsts, more): (Vec<_>, Vec<_>) = counted
            .into_iter()
            .partition(|beacon| services.insert(beacon.service.clone()));
        let first = firsts.len().clamp(OTHERS, MOST_OTHERS);
        let all = firsts.into_iter().chain(more).chain(starting);
        let mut chosen: Vec<_> = all.map(|beacon| beacon.name.clone()).collect();
        let others = chosen.split_off(first.min(chosen.len()));
        (chosen, others)
    }
}

/// Checks whether a server with these options could use a node, without a bus: the URL's own credentials are used, and the
/// Redis is compared with the other nodes of the options. Takes three times
/// [`Options::command_timeout`](crate::Options::command_timeout) at most.
pub async fn preflight_alone(url: &NodeUrl, options: &Options) -> Preflight {
    examine_alone(url, options).await
}
