//! Topics: the addresses that servers subscribe to. `channels` turns a topic into a Redis channel.

use std::sync::Arc;

use super::names::{ClientId, Room, ServerName};

/// An address that servers subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One server: its events, requests and replies.
    Server(ServerName),
    /// Every server.
    Servers,
    /// One client, wherever it is connected.
    Client(ClientId),
    /// Every client.
    Clients,
    /// The clients of a room.
    Room(Room),
    /// A custom channel, named by the application.
    Custom(Arc<str>),
}

impl Topic {
    /// The kind of topic, one of a fixed set, so it is safe as a metric label or in a span's name.
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
