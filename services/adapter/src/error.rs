//! One small error per operation, each with its source kept and a message that says what to do.

use crate::local::DataError;
use crate::nodes::NodeUrlError;
use crate::wire::{ClientId, ClusterId, Missing, NameError, NodeId, PayloadError, Refusal, ServerName, ServiceName};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A node id is used twice.
    #[error(
        "two Redis nodes have the id {0:?}: give each its own, as the fragment of its URL (redis://host:6379#redis-1)"
    )]
    DuplicateNode(String),
    /// A Redis bus without nodes.
    #[error("no Redis node is given: name at least one (--redis redis://host:6379), or start without a bus")]
    NoNodes,
    /// The metrics could not be registered.
    #[error("metrics cannot be registered (is the registry shared with another adapter?)")]
    Metrics(#[from] prometheus::Error),
    /// The routing contradicts itself or another setting.
    #[error("{0}")]
    Routing(String),
    /// More nodes than one server can use.
    #[error("{0} Redis nodes are given: at most {max} can be used", max = crate::nodes::MAX_NODES)]
    TooManyNodes(usize),
    /// A file named in a node's URL, for example a CA file, cannot be used.
    #[error("node {node}: {problem}")]
    Node {
        /// The node's id.
        node: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Why the nodes could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// Single-server mode.
    #[error("this server runs alone: start it with Redis nodes (--redis redis://host:6379)")]
    Alone,
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] NodeUrlError),
    /// On the embedded bus nodes have other URLs.
    #[error("{0:?} is not a node of the embedded bus: write memory:ID")]
    Embedded(String),
    /// The URL has a user or password.
    #[error(
        "credentials do not travel between servers: leave user and password out; each server uses its own (--redis-password-file)"
    )]
    Credentials,
    /// The URL names a file.
    #[error("files are each server's own: leave ?ca=, cert= and key= out; servers use those of their configured nodes")]
    Files,
    /// No node has this id.
    #[error("there is no Redis node {0}")]
    Unknown(NodeId),
    /// No other node can take over.
    #[error(
        "{0} cannot be drained: no other active Redis node is heard by every server; add one, or find out why the others are not heard"
    )]
    LastNode(NodeId),
    /// The id belongs to a node elsewhere.
    #[error(
        "{id} is a Redis node already, at {url}: drain it first, or give the new one its own id (redis://host:port#ID)"
    )]
    Elsewhere {
        /// The id.
        id: NodeId,
        /// Where it is.
        url: String,
    },
    /// The number of nodes has reached its limit.
    #[error("there are {0} Redis nodes: at most {max} can be used", max = crate::nodes::MAX_NODES)]
    TooMany(usize),
}

/// Why a running server cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// Another live server has this name and is older.
    #[error("another live server is called {name}: give this one its own name (--name or WSMESH_NAME)")]
    DuplicateName {
        /// The name that both have.
        name: ServerName,
    },
    /// An older server on the same channels belongs to another cluster.
    #[error(
        "{server} of the cluster {theirs:?} uses the same Redis channels (prefix {prefix:?}), and this server belongs to the cluster {ours:?}: \
         give each cluster its own prefix (--prefix or WSMESH_PREFIX), or, if they are one, the same id (--cluster-id or WSMESH_CLUSTER_ID)"
    )]
    OtherCluster {
        /// The prefix of the channels.
        prefix: String,
        /// The other server.
        server: ServerName,
        /// Its cluster.
        theirs: ClusterId,
        /// This server's cluster.
        ours: ClusterId,
    },
    /// One of the adapter's own tasks ended, which is a defect.
    #[error("a task of the adapter ended: {0}; please report this")]
    TaskEnded(String),
}

/// Why a message could not be handed to any node. A node that did not answer in time may have taken it all the same: then it
/// arrives, once, though this was returned.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This server has heard no node for longer than the replay window, or than a request may take: it is cut off from the
    /// others. Local clients got the message.
    #[error("no Redis node is heard: this server is isolated; check the status of the nodes")]
    Isolated,
    /// No node is heard, and too much waits for one already.
    #[error(
        "no Redis node is heard, and no more messages may wait for one: check the status of the nodes; raise --replay-bytes to outlast longer \
         outages"
    )]
    NoRoom,
    /// Every node that could be used rejected the message or did not answer in time.
    #[error("no Redis node took the message; the last one ({node}) failed: {problem}")]
    Refused {
        /// The last node that was tried.
        node: String,
        /// Its error.
        problem: String,
    },
    /// No node is heard both here and there.
    #[error("no Redis node is heard both by this server and by {0}: check the status of the nodes on both servers")]
    NoCommonNode(ServerName),
    /// It is larger than any message may be: Redis would end every subscriber's connection for it.
    #[error(
        "the message has {bytes} bytes, and at most {most} can be published: send less at once, or raise --max-publish-bytes and, \
         in each Redis, client-output-buffer-limit pubsub to twice that"
    )]
    TooLarge {
        /// Its size, with its channel's name.
        bytes: usize,
        /// The largest size.
        most: usize,
    },
    /// The payload cannot be written in the bus's encoding.
    #[error("the payload cannot be sent: {0}")]
    Payload(#[from] PayloadError),
    /// The idempotency key of a request is empty or too long.
    #[error("the idempotency key has {0} bytes: 1 to {max} are allowed", max = crate::cluster::MAX_KEY_BYTES)]
    Key(usize),
    /// The target is not in the roster.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl PublishError {
    /// The kind of error, from a fixed set: safe as a metric label or a span attribute.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::NoRoom => "no-room",
            Self::Refused { .. } => "refused",
            Self::NoCommonNode(_) => "no-common-node",
            Self::TooLarge { .. } => "too-large",
            Self::Payload(_) => "payload",
            Self::Key(_) => "key",
            Self::Target(_) => "target",
        }
    }
}

/// Why a target names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No live server has this name.
    #[error("no live server is called {0}")]
    UnknownServer(ServerName),
    /// No live server is of this service.
    #[error("no live {0} server")]
    NoServer(ServiceName),
}

/// Why a request to one server has no reply.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no server to ask, or nothing could be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The server was asked and did not answer.
    #[error("{server} {why}")]
    Missing {
        /// The server that was asked.
        server: ServerName,
        /// Why there is no answer.
        why: Missing,
    },
    /// The adapter was shut down meanwhile.
    #[error("this server is shutting down")]
    ShuttingDown,
}

/// Why a typed request to one server has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no server to ask, or it did not reply.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server refused.
    #[error("{server} refused: {refusal}")]
    Refused {
        /// The server that was asked.
        server: ServerName,
        /// Its reason.
        refusal: Refusal,
    },
    /// The reply is not what was expected.
    #[error("the reply of {server} cannot be read: {problem}")]
    Unreadable {
        /// The server that replied.
        server: ServerName,
        /// What is wrong with the reply.
        problem: PayloadError,
    },
}

/// Why an order about a client (close it, let it join or leave a room) was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ClientOrderError {
    /// A server that may have the client did not say in time whether it does.
    #[error("client {0} was not found in time: a server that may have it did not answer")]
    Unknown(ClientId),
    /// This data cannot be attached to a client.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It was carried out at some of the servers that have the client, and not at another one.
    #[error("done at {}, but not everywhere: {error}", listed(done))]
    Partly {
        /// The servers that carried it out. This server may be among them.
        done: Vec<ServerName>,
        /// The first error.
        #[source]
        error: Box<ClientOrderError>,
    },
    /// The client's server could not be asked, did not answer, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The question where the client is could not be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The client is connected here, and joining was not confirmed; or the close code cannot be sent.
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn listed(servers: &[ServerName]) -> String {
    servers.iter().map(ServerName::as_str).collect::<Vec<_>>().join(", ")
}

/// Why a client's answer did not come.
#[derive(Debug, thiserror::Error)]
pub enum ClientRequestError {
    /// No server has the client: it was not asked.
    #[error("client {0} is not connected anywhere")]
    Offline(ClientId),
    /// Its connection ended before it answered, or too many requests wait for it already.
    #[error("client {0} went away before it answered, or has too many requests waiting")]
    Gone(ClientId),
    /// It was asked, or may have been, and did not answer in time.
    #[error("client {0} did not answer in time")]
    TimedOut(ClientId),
    /// The request could not be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why a custom channel could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The name is empty or too long.
    #[error("a channel's name has 1 to 256 bytes, this one has {0}")]
    Length(usize),
    /// The name belongs to the cluster itself.
    #[error("{name:?} begins with {prefix:?}, which is this cluster's own: choose another name")]
    Reserved {
        /// The name.
        name: String,
        /// The cluster's prefix.
        prefix: String,
    },
    /// No node confirmed it in time.
    #[error(transparent)]
    Unconfirmed(#[from] ClientError),
    /// No node took the message.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why a client could not be attached, could not join or leave, or its connection could not be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No client of this id is connected to this server.
    #[error("client {0} is not connected to this server")]
    NotHere(ClientId),
    /// The name of a room or client is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No node confirmed it in time: it holds on this server, and is confirmed as soon as a node is heard.
    #[error("done on this server, but no Redis node has confirmed it yet: messages of other servers may be missed")]
    Unconfirmed,
    /// There is no such shard.
    #[error("there is no shard {0}")]
    NoShard(usize),
    /// A close frame must not carry this code.
    #[error("{0} is not a close code that can be sent: use 1000 to 1003, 1007 to 1014, or 3000 to 4999")]
    CloseCode(u16),
    /// The adapter was shut down meanwhile.
    #[error("this server is shutting down")]
    ShuttingDown,
}
