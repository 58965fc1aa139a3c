//! The messages between the harness and a server process: JSON, one value a line. The first line is the [`Setup`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The setup of a server process, which it gets when it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Unique number of this process in the run.
    pub process: u16,
    /// The server's name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The nodes, as this server reaches them.
    pub urls: Vec<String>,
    /// The file of its log.
    pub log: PathBuf,
    /// How often it probes its nodes.
    pub probe_ms: u64,
    /// How long published messages are kept.
    pub window_ms: u64,
    /// Time limit for an answer.
    pub request_ms: u64,
    /// Its clients and the rooms that each joins.
    pub clients: Vec<(u16, Vec<u16>)>,
    /// The receivers of its load.
    pub audience: Audience,
}

/// All receivers of load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audience {
    /// How many rooms there are.
    pub rooms: u16,
    /// How many clients there are.
    pub clients: u16,
    /// The names of all servers; a message contains the index in this list.
    pub servers: Vec<String>,
    /// Bytes added to each message.
    pub padding: usize,
}

/// An order of the harness to a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Send this many messages a second, of all kinds.
    Load {
        /// Messages a second.
        rate: f64,
    },
    /// Stop sending, wait for what is under way, then answer [`Say::Rested`].
    Rest,
    /// Add a node to the cluster; answered by [`Say::Done`].
    AddNode {
        /// Where it is, with its id.
        url: String,
    },
    /// Drain and remove a node; answered by [`Say::Done`].
    DrainNode {
        /// Which.
        id: String,
    },
    /// Report the map of nodes; answered by [`Say::Topology`].
    Topology,
    /// End gracefully.
    Quit,
}

/// A report of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum Say {
    /// The server counts.
    Ready {
        /// Since when.
        at_us: u64,
    },
    /// Other servers reach this client.
    Attached {
        /// Which.
        client: u16,
        /// Since when.
        at_us: u64,
    },
    /// A client is in a room.
    Joined {
        /// Which client.
        client: u16,
        /// Which room.
        room: u16,
        /// Since when.
        at_us: u64,
    },
    /// All its clients are in place, and it knows every server.
    Settled,
    /// The promise did not hold for a while, according to the adapter.
    Lapse(Lapse),
    /// Nothing is under way any more.
    Rested {
        /// Sends and requests that never ended.
        stuck: usize,
    },
    /// An order was carried out, or why it was not.
    Done {
        /// Why not.
        error: Option<String>,
    },
    /// The map of nodes.
    Topology {
        /// Each node in it.
        nodes: Vec<NodeEntry>,
    },
    /// Something that should not happen.
    Trouble {
        /// What.
        what: String,
    },
}

/// A span of time for which the promise did not hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lapse {
    /// Why.
    pub reason: String,
    /// Which node, if it is about one.
    pub node: Option<String>,
    /// From when, on the monotonic clock.
    pub from_us: u64,
    /// Until when.
    pub until_us: u64,
}

impl Lapse {
    /// Whether it concerns the messages of others, or those of this server itself.
    pub(crate) fn concerns_receiving(&self) -> bool {
        matches!(self.reason.as_str(), "isolated" | "stalled")
    }
}

/// A node in one server's map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeEntry {
    /// Its id.
    pub id: String,
    /// Its epoch.
    pub epoch: u64,
    /// Its state.
    pub state: String,
}
