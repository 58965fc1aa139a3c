//! Where a message between servers goes: a plain value.

use crate::wire::{ServerName, ServiceName};

/// Where a message between servers goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One server. The sender itself is served locally. With shared routing it may be a server of the JavaScript package, which
    /// is unknown until it answers.
    Server(ServerName),
    /// Several servers.
    Servers(Vec<ServerName>),
    /// Every live server of a service.
    Service(ServiceName),
    /// One server of a service.
    AnyOf(ServiceName, Pick),
    /// Every live server, the sender included.
    Everyone,
    /// Every live server but the sender.
    Others,
}

/// How one server of a service is picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one with the least load (clients) in its last beacon; equals in turn.
    LeastBusy,
    /// By rendezvous hash of a key: the same key, the same server, while the roster stays.
    Key(String),
}
