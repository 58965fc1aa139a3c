//! temp
use super::link::Endpoint;
use crate::wire::NodeId;
use std::sync::Arc;
/// One Redis node's address: `redis://` or `rediss://`, with user, password and an id as fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl {
    id: NodeId,
}
impl NodeUrl {
    /// Parses `redis[s]://[user[:password]@]host[:port][?ca=FILE][#id]`; errors say what to write instead.
    pub fn parse(_text: &str) -> Result<Self, NodeUrlError> {
        unimplemented!()
    }
    /// The node's id: the fragment, else `host:port`.
    pub fn id(&self) -> &NodeId {
        &self.id
    }
    /// Sets the password (from a file), in place of the URL's own.
    pub fn with_password(self, _password: String) -> Self {
        unimplemented!()
    }
}
impl std::fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}
/// Without credentials.
impl std::fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}
/// Why a node's URL was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NodeUrlError(pub String);

pub(crate) fn redis_endpoint(
    _u: &NodeUrl,
    _n: &str,
    _t: std::time::Duration,
) -> Result<Arc<dyn Endpoint>, super::link::LinkError> {
    unimplemented!()
}
