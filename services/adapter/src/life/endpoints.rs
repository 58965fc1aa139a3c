//! How this server reaches a node: by its own URL for the node's id, else by the topology's, with its own credentials.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{StartError, TopologyError};
use crate::nodes::{Endpoint, MAX_NODES, MemoryBus, NodeUrl, Unusable, check_files, checked_endpoint, redis_endpoint};
use crate::options::{Bus, Options};
use crate::wire::NodeId;

/// The URL of an embedded node begins with this.
const MEMORY: &str = "memory:";

/// Reaches nodes.
#[derive(Debug)]
pub(crate) enum Endpoints {
    /// No nodes at all.
    None,
    Memory(MemoryBus),
    Redis(Box<RedisEndpoints>),
}

/// Reaches Redis nodes.
#[derive(Debug)]
pub(crate) struct RedisEndpoints {
    own: HashMap<NodeId, NodeUrl>,
    /// Its user, password and files are used with URLs of the topology.
    login: NodeUrl,
    name: String,
    limit: Duration,
}

/// Why an address cannot even be tried from here.
#[derive(Debug)]
pub(crate) struct Barred {
    pub(crate) why: String,
    /// What to do.
    pub(crate) fix: &'static str,
}

impl Barred {
    /// A file that the URL names cannot be used.
    pub(crate) fn by_files(why: String) -> Self {
        let fix = "let the servers' own URLs name files that exist there and can be read (?ca=FILE&cert=FILE&key=FILE)";
        Self { why, fix }
    }

    /// User and password would be sent in plain text.
    fn by_login(address: &str) -> Self {
        let why = format!(
            "{address} has no TLS, and this server's user and password belong to nodes with TLS: they would cross the network in plain \
             text"
        );
        let fix =
            "use TLS there and write rediss://, or give each server a URL of its own for this node (--redis-urls)";
        Self { why, fix }
    }
}

/// Nodes by id, with URLs that show no credentials.
type Seeds = Vec<(NodeId, String)>;

impl Endpoints {
    /// For the nodes that a server is configured with; returns these nodes, too.
    pub(crate) fn new(options: &Options) -> Result<(Self, Seeds), StartError> {
        let (endpoints, seeds) = match &options.bus {
            Bus::Alone => return Ok((Self::None, Vec::new())),
            Bus::Memory(bus) => {
                let seeds: Seeds = bus.ids().map(|id| (id.clone(), format!("{MEMORY}{id}"))).collect();
                (Self::Memory(bus.clone()), seeds)
            }
            Bus::Redis(urls) => {
                let seeds = urls.iter().map(|url| (url.id().clone(), url.to_string())).collect();
                let login = login(options, urls).ok_or(StartError::NoNodes)?;
                for url in urls.iter().chain([login]) {
                    check_files(url).map_err(|problem| StartError::Node {
                        node: url.id().to_string(),
                        problem,
                    })?;
                }
                let redis = RedisEndpoints {
                    login: login.clone(),
                    own: urls.iter().map(|url| (url.id().clone(), url.clone())).collect(),
                    name: options.name.to_string(),
                    limit: options.command_timeout,
                };
                (Self::Redis(Box::new(redis)), seeds)
            }
        };
        if seeds.is_empty() && options.first_nodes.is_none() {
            return Err(StartError::NoNodes);
        }
        if seeds.len() > MAX_NODES {
            return Err(StartError::TooManyNodes(seeds.len()));
        }
        let mut seen = HashSet::new();
        match seeds.iter().find(|(id, _)| !seen.insert(id.clone())) {
            Some((twice, _)) => Err(StartError::DuplicateNode(twice.to_string())),
            None => Ok((endpoints, seeds)),
        }
    }

    /// A node of the topology. A node that cannot be reached from here at all is never heard; its status says why.
    pub(crate) fn endpoint(&self, id: &NodeId, url: &str) -> Arc<dyn Endpoint> {
        let found = match self {
            Self::None => Err("this server runs alone".to_owned()),
            Self::Memory(bus) => Ok(bus.endpoint(id)),
            Self::Redis(redis) => redis.endpoint(id, url),
        };
        found.unwrap_or_else(|problem| {
            let address = url.to_owned();
            Arc::new(Unusable { address, problem })
        })
    }

    /// An address that may become a node. Nothing is known of it afterwards.
    ///
    /// # Errors
    /// When it must not or cannot be tried from here at all; says why.
    pub(crate) async fn candidate(&self, id: &NodeId, url: &str) -> Result<Arc<dyn Endpoint>, Barred> {
        match self {
            Self::None => Err(Barred::by_files("this server runs alone".to_owned())),
            Self::Memory(bus) => Ok(bus.candidate(id)),
            Self::Redis(redis) => redis.candidate(id, url).await,
        }
    }

    /// Single-server mode.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether this server has a URL of its own for a node: then the topology's does not matter here.
    pub(crate) fn has_own(&self, id: &NodeId) -> bool {
        match self {
            Self::None => false,
            Self::Memory(_) => true,
            Self::Redis(redis) => redis.own.contains_key(id),
        }
    }

    /// Reads the URL of a node that is to be added for everyone.
    pub(crate) fn parse(&self, url: &str) -> Result<(NodeId, String), TopologyError> {
        match self {
            Self::None => Err(TopologyError::Alone),
            Self::Memory(_) => {
                let id = url.strip_prefix(MEMORY).and_then(|id| NodeId::new(id).ok());
                // It may be a Redis URL with a password, which must not be repeated.
                let without_login = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
                let id = id.ok_or_else(|| TopologyError::Embedded(without_login.to_owned()))?;
                Ok((id.clone(), format!("{MEMORY}{id}")))
            }
            Self::Redis(_) => {
                let url = NodeUrl::parse(url)?;
                if url.has_login() {
                    return Err(TopologyError::Credentials);
                }
                if url.has_files() {
                    return Err(TopologyError::Files);
                }
                Ok((url.id().clone(), url.to_string()))
            }
        }
    }
}

/// Whose user, password and files are used with nodes that have no URL of their own. Nodes that are found belong together, so
/// they never get the login of others.
fn login<'a>(options: &'a Options, urls: &'a [NodeUrl]) -> Option<&'a NodeUrl> {
    if let Some(first_nodes) = &options.first_nodes {
        return Some(first_nodes.login());
    }
    let with_login = || urls.iter().find(|url| url.has_login());
    let login = urls.iter().find(|url| url.has_password()).or_else(with_login);
    login.or(urls.first())
}

impl RedisEndpoints {
    /// Whoever answers at a candidate's address is not known yet: what is encrypted otherwise is not told to it in plain text.
    async fn candidate(&self, id: &NodeId, url: &str) -> Result<Arc<dyn Endpoint>, Barred> {
        let is_plain = NodeUrl::parse(url).is_ok_and(|url| !url.tls());
        if is_plain && self.login.tls() && self.login.has_login() && !self.own.contains_key(id) {
            return Err(Barred::by_login(url));
        }
        let url = self.url(id, url).map_err(Barred::by_files)?;
        let checked = checked_endpoint(&url, &self.name, self.limit).await;
        checked.map_err(Barred::by_files)
    }

    fn endpoint(&self, id: &NodeId, url: &str) -> Result<Arc<dyn Endpoint>, String> {
        Ok(redis_endpoint(&self.url(id, url)?, &self.name, self.limit))
    }

    /// The URL by which this server reaches a node.
    fn url(&self, id: &NodeId, url: &str) -> Result<NodeUrl, String> {
        if let Some(own) = self.own.get(id) {
            return Ok(own.clone());
        }
        let url = NodeUrl::parse(url).map_err(|error| error.to_string())?;
        Ok(url.with_login_of(&self.login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ServerName, ServiceName};

    fn endpoints(urls: &[&str]) -> Endpoints {
        let name = ServerName::new("one").expect("valid");
        let mut options = Options::new(name, ServiceName::new("test").expect("valid"));
        options.bus = Bus::Redis(urls.iter().map(|url| NodeUrl::parse(url).expect("valid")).collect());
        Endpoints::new(&options).expect("valid options").0
    }

    async fn barred(endpoints: &Endpoints, url: &str) -> Option<Barred> {
        let (id, url) = endpoints.parse(url).expect("valid");
        endpoints.candidate(&id, &url).await.err()
    }

    #[tokio::test]
    async fn a_password_of_nodes_with_tls_is_not_told_to_an_address_without_it() {
        let secure = endpoints(&["rediss://app:secret@a#a", "redis://:other@b#b"]);
        let error = barred(&secure, "redis://c#c").await.expect("plain text");
        assert!(
            error.why.contains("plain text") && error.fix.contains("rediss://"),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(barred(&secure, "rediss://c#c").await.is_none());
        assert!(barred(&secure, "redis://b#b").await.is_none(), "its own URL says so");
        for urls in [
            &["rediss://a#a"][..],
            &["redis://:secret@a#a"],
            &["redis://:secret@a#a", "rediss://b#b"],
        ] {
            assert!(barred(&endpoints(urls), "redis://c#c").await.is_none(), "{urls:?}");
        }
    }
}
