//! An envelope: what travels through a node. The format of *websocket-cross-server-adapter* 1.x, plus one field, `wm`.
//!
//! One map, as MessagePack or JSON; a reader tells them apart by the first byte. `wm` is written first, so that a server
//! recognises its own envelopes early. Unknown fields are ignored. Payloads stay raw bytes both ways.

mod wm;

mod read;
mod write;

pub(crate) use wm::{Identity, Wm};

use super::frame::Frame;
use super::names::{ClientId, Room, ServerName};
use super::payload::Payload;

/// What travels through a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    pub(crate) sender: ServerName,
    /// None in envelopes of the JavaScript package.
    pub(crate) wm: Option<Wm>,
    pub(crate) body: Body,
}

/// A message from a custom channel.
#[derive(Debug)]
pub(crate) struct FromChannel {
    pub(crate) sender: Option<ServerName>,
    pub(crate) wm: Option<Wm>,
    pub(crate) payload: Payload,
}

/// The content of an envelope and its receivers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// To servers; no targets means all servers. With a callback id, the sender waits for replies.
    Event {
        event: String,
        targets: Vec<ServerName>,
        payload: Payload,
        callback_id: Option<String>,
    },
    /// A reply to a server.
    Reply { callback_id: String, payload: Payload },
    /// To one client.
    Client { client: ClientId, frame: Frame },
    /// To several clients.
    Clients { clients: Vec<ClientId>, frame: Frame },
    /// To every client, with exceptions, which are an extension of wsmesh.
    Everyone { except: Vec<ClientId>, frame: Frame },
    /// To the members of a room, with exceptions.
    Room {
        room: Room,
        except: Vec<ClientId>,
        frame: Frame,
    },
    /// All members leave a room. An extension of wsmesh: the JavaScript package removes a room on one server only and
    /// throws an error at an envelope without a frame, so this kind never travels on a channel that it reads.
    RoomRemove { room: Room },
    /// Any map, on a custom channel.
    Custom { payload: Payload },
}

impl Body {
    /// What it holds for clients came through the node with this index.
    pub(crate) fn carried_by(&mut self, index: usize) {
        match self {
            Self::Client { frame, .. }
            | Self::Clients { frame, .. }
            | Self::Everyone { frame, .. }
            | Self::Room { frame, .. } => frame.carried_by(index),
            Self::Event { .. } | Self::Reply { .. } | Self::RoomRemove { .. } | Self::Custom { .. } => {}
        }
    }

    /// The kind, one of a fixed set, so it is safe in a span's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Event { .. } => "event",
            Self::Reply { .. } => "reply",
            Self::Client { .. } => "client",
            Self::Clients { .. } => "clients",
            Self::Everyone { .. } => "everyone",
            Self::Room { .. } => "room",
            Self::RoomRemove { .. } => "room-remove",
            Self::Custom { .. } => "custom",
        }
    }
}

#[cfg(test)]
mod tests;
