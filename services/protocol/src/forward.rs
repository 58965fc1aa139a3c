//! What ws-nodes and services tell each other about clients: the payloads of server events.
//!
//! A client's event that a rule forwards becomes a server event of the same name with [`Forwarded`] as payload. The
//! service's reply becomes the client's reply; a refusal is `{"error": TEXT, "errorCode": CODE}`, passed on unchanged.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::CallbackId;

/// Event: a client's connection ended. Sent by its ws-node to every server of the services named in its rules.
pub const CLIENT_CLOSED: &str = "wsmesh.clientClosed";
/// Event to the servers of a service that watches clients: a client's connection began. Payload: what is known about the
/// connection (`ClientContext` in wsmesh-adapter), with `id` and `time` as in [`ClientDisconnected`].
pub const CLIENT_CONNECTED: &str = "wsmesh.clientConnected";
/// Event to the servers of a service that watches clients: a client's connection ended, see [`ClientDisconnected`].
pub const CLIENT_DISCONNECTED: &str = "wsmesh.clientDisconnected";
/// Event to the servers of a service that watches clients: a client joined a room, see [`ClientMoved`].
pub const CLIENT_JOINED: &str = "wsmesh.clientJoined";
/// Event to the servers of a service that watches clients: a client left a room, see [`ClientMoved`].
pub const CLIENT_LEFT: &str = "wsmesh.clientLeft";
/// Event to the servers of a service that watches clients: a ws-node is gone with its clients, see [`ServerLost`].
pub const SERVER_LOST: &str = "wsmesh.serverLost";
/// Request to the ws-node that has a client: the client joins a room. Reply: `{"ok": true}`, or a refusal:
/// `NOT_FOUND` if the client is not connected there.
pub const CLIENT_JOIN: &str = "wsmesh.clientJoin";
/// Request to the ws-node that has a client: the client leaves a room. Reply: `{"ok": true}`, or a refusal:
/// `NOT_FOUND` if the client is not connected there.
pub const CLIENT_LEAVE: &str = "wsmesh.clientLeave";
/// Request to the servers that have a client: replace what services attached to its connections, see [`ClientData`]. Answered by
/// the adapter itself. Reply: `{"done": bool}`, false if the client is not connected there; or a refusal: `BAD_PAYLOAD` if
/// the data is too large.
pub const CLIENT_DATA: &str = "wsmesh.clientData";
/// Event to the ws-nodes that have the clients: what to tell these clients if the sender is lost, see [`Wills`].
pub const CLIENT_WILLS: &str = "wsmesh.clientWills";
/// Request to a ws-node: accept no new clients and disconnect the present ones, see [`Drain`]. Reply: [`Draining`].
pub const DRAIN: &str = "wsmesh.drain";
/// Request to a ws-node: end its drain and accept clients again. Reply: [`Draining`].
pub const RESUME: &str = "wsmesh.resume";
/// Request to a ws-node: disconnect idle clients so that they reconnect elsewhere, see [`Rebalance`]. Reply:
/// `{"clients": N}`, the most that it will disconnect.
pub const REBALANCE: &str = "wsmesh.rebalance";
/// Request to ws-nodes: close a client's connection. Reply: `{"kicked": bool}`.
pub const KICK: &str = "wsmesh.kick";

/// A client's event, forwarded to a service.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Forwarded {
    /// The client's id.
    pub client: String,
    /// The ws-node that it is connected to.
    pub server: String,
    /// The event's name.
    pub event: String,
    /// The payload that the client sent, unchanged.
    pub payload: Box<RawValue>,
    /// Set if the rule says that the service replies to the client itself: the id that the reply must repeat. Write the
    /// reply with [`frame::reply`](crate::frame::reply) and send it to the client.
    pub callback_id: Option<CallbackId<'static>>,
    /// What services attached to the client's connection, if they attached something.
    pub data: Option<Box<RawValue>>,
}

/// [`Forwarded`] in the form that travels.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    client: String,
    server: String,
    event: String,
    payload: Box<RawValue>,
    /// A string or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback_id: Option<Box<RawValue>>,
    /// The id as the client wrote it, if MessagePack on the way would turn it into another text for the same value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback_id_json: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded")
            .field("client", &self.client)
            .field("server", &self.server)
            .field("event", &self.event)
            .field("payload", &self.payload)
            .field("callback_id", &self.callback_id)
            .finish_non_exhaustive()
    }
}

impl From<Forwarded> for Written {
    fn from(forwarded: Forwarded) -> Self {
        let id = forwarded.callback_id;
        let as_written = id.as_ref().filter(|id| !id.is_canonical());
        Self {
            callback_id_json: as_written.map(|id| id.json().to_owned()),
            callback_id: id.and_then(|id| serde_json::from_str(id.json()).ok()),
            client: forwarded.client,
            server: forwarded.server,
            event: forwarded.event,
            payload: forwarded.payload,
            data: forwarded.data,
        }
    }
}

impl TryFrom<Written> for Forwarded {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let value = written.callback_id.as_ref().map(|raw| raw.get());
        let json = written.callback_id_json.as_deref().or(value);
        let callback_id = json
            .map(|json| CallbackId::from_json(json).ok_or("callbackId is not a string or number, or is too long"))
            .transpose()?
            .map(CallbackId::into_owned);
        Ok(Self {
            client: written.client,
            server: written.server,
            event: written.event,
            payload: written.payload,
            callback_id,
            data: written.data,
        })
    }
}

/// Payload of [`CLIENT_CLOSED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientClosed {
    /// The client's id.
    pub client: String,
    /// The ws-node that it was connected to.
    pub server: String,
}

/// Payload of [`CLIENT_DISCONNECTED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientDisconnected {
    /// The same when the event is sent again: what a receiver recognises repeats by.
    pub id: String,
    /// When it happened, as text of RFC 3339.
    pub time: String,
    /// The client's id.
    pub client: String,
    /// The connection, as in the context of the client.
    pub connection: String,
    /// The ws-node that had it.
    pub server: String,
    /// The close code. 1005: the client gave none; 1006: the connection broke, or was never opened.
    pub code: u16,
    /// The reason of whoever closed it; may be empty.
    pub reason: String,
    /// How long the connection lasted, in milliseconds.
    pub duration_ms: u64,
    /// Whether the client had no other connection to this ws-node.
    pub last: bool,
}

/// Payload of [`CLIENT_JOINED`] and [`CLIENT_LEFT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientMoved {
    /// As in [`ClientDisconnected`].
    pub id: String,
    /// When it happened, as text of RFC 3339.
    pub time: String,
    /// The client's id.
    pub client: String,
    /// The newest connection of the client to this ws-node. All of them share its rooms.
    pub connection: String,
    /// The ws-node that has it.
    pub server: String,
    /// The room's namespace.
    pub namespace: String,
    /// The room's id.
    pub room_id: String,
}

/// Payload of [`SERVER_LOST`]: the ws-node left the cluster without saying goodbye. Its clients are disconnected, and nobody can
/// name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerLost {
    /// The same, whichever server tells it.
    pub id: String,
    /// When it was noticed, as text of RFC 3339.
    pub time: String,
    /// The ws-node that is gone.
    pub server: String,
    /// How many clients it had, as it said last.
    pub clients: u64,
}

/// Payload of [`CLIENT_JOIN`] and [`CLIENT_LEAVE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientRoom {
    /// The client's id.
    pub client: String,
    /// The room's namespace.
    pub namespace: String,
    /// The room's id.
    pub room: String,
}

/// Payload of [`CLIENT_DATA`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientData {
    /// The client's id.
    pub client: String,
    /// Any JSON value of at most 4096 bytes. None, or null: what was attached is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl fmt::Debug for ClientData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientData")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Payload of [`CLIENT_WILLS`].
///
/// A server that is the only one to hold something for a client (its position in a queue, its running match) leaves a
/// will with the client's ws-node. When that process leaves the roster, the ws-node sends the will's frame to the
/// client. A will ends when it is revoked, when the connection ends, or when another process, which has taken the thing
/// over, leaves a will with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wills {
    /// The process that leaves the wills: the number of its instance.
    pub instance: u64,
    /// The changes since the last message, in order.
    pub changes: Vec<WillChange>,
}

/// A change of one will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WillChange {
    /// The will is left. It replaces one with the same id for the same client.
    Left(Will),
    /// The will is revoked, whichever server left it.
    Revoked {
        /// The client's id.
        client: String,
        /// The will's id.
        id: String,
    },
}

/// A message for a client, sent to it when the process that left it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Will {
    /// The client's id.
    pub client: String,
    /// Names the thing that the will is about, for example a ticket: unique in the cluster.
    pub id: String,
    /// The frame that the client gets, as [`frame::push`](crate::frame::push) writes it.
    pub frame: String,
    /// A room that the client leaves when it gets the frame. A client that is no longer in the room gets no frame: it
    /// has already been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<WillRoom>,
}

/// A room of a [`Will`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WillRoom {
    /// The room's namespace.
    pub namespace: String,
    /// The room's id.
    pub room: String,
}

/// Payload of [`KICK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kick {
    /// The client's id.
    pub client: String,
    /// The close code that the client gets, see [`CloseCode`](crate::CloseCode).
    pub code: u16,
    /// A short text for the client.
    pub reason: String,
}

/// Payload of [`DRAIN`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// In how many milliseconds all clients must be disconnected. None: the server's own setting applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// Reply to [`DRAIN`] and [`RESUME`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// Whether new clients are rejected.
    pub draining: bool,
    /// How many connections there are.
    pub connections: u64,
    /// In how many milliseconds the last client will be disconnected, if clients are being disconnected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// Payload of [`REBALANCE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// The most clients to disconnect. None: the clients above the mean of all servers of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn data_travels_with_an_event_only_if_there_is_some_and_debug_does_not_show_it() {
        let mut forwarded = Forwarded {
            client: "ann".to_owned(),
            server: "edge".to_owned(),
            event: "bid".to_owned(),
            payload: raw("7"),
            callback_id: None,
            data: None,
        };
        let json = |forwarded: &Forwarded| serde_json::to_string(forwarded).expect("JSON");
        let without = r#"{"client":"ann","server":"edge","event":"bid","payload":7}"#;
        assert_eq!(json(&forwarded), without);
        assert!(
            serde_json::from_str::<Forwarded>(without)
                .expect("reads")
                .data
                .is_none()
        );
        forwarded.data = Some(raw(r#"{"team":"red"}"#));
        let read: Forwarded = serde_json::from_str(&json(&forwarded)).expect("reads");
        assert_eq!(read.data.as_deref().map(RawValue::get), Some(r#"{"team":"red"}"#));
        let order = ClientData {
            client: "ann".to_owned(),
            data: read.data,
        };
        let text = format!("{forwarded:?} {order:?}");
        assert!(text.contains("ann") && !text.contains("red"), "{text}");
    }
}
