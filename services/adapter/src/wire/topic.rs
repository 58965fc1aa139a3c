//! Topics: the addresses that servers subscribe to. A pure value; `channels` turns it into a Redis channel.

use std::sync::Arc;

use super::names::{ClientId, Room, ServerName};

/// An address that servers subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One server: events, requests and replies for it.
    Server(ServerName),
    /// Every server.
    Servers,
    /// One client, wherever it is connected.
    Client(ClientId),
    /// Every client.
    Clients,
    /// The clients of a room.
    Room(Room),
    /// A channel that the application named.
    Custom(Arc<str>),
}

impl Topic {
    /// The kind of topic, from a fixed set: safe as a metric label or a span name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Servers => "servers",
            Self::Client(_) => "client",
            Self::Clients => "clients",
            Self::Room(_) => "room",
            Self::Custom(_) => "custom",
        }
    }
}
