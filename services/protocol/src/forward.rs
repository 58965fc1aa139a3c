//! What a ws-node and a service say to each other about clients: the payloads of server events.
//!
//! A client's event that a rule forwards becomes a server event of the same name with [`Forwarded`] as payload. What the
//! service replies is the client's reply; a refusal is `{"error": TEXT, "errorCode": CODE}`, passed on as it is.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::CallbackId;

/// Event: a client's connection ended. Sent by its ws-node to every server of the services named in its rules.
pub const CLIENT_CLOSED: &str = "wsmesh.clientClosed";
/// Request to the ws-node that has a client: the client joins a room. Reply: `{"ok": true}`, or a refusal.
pub const CLIENT_JOIN: &str = "wsmesh.clientJoin";
/// Request to the ws-node that has a client: the client leaves a room. Reply: `{"ok": true}`, or a refusal.
pub const CLIENT_LEAVE: &str = "wsmesh.clientLeave";
/// Event to the ws-nodes that have clients: what to tell these clients if the sender is lost, see [`Wills`].
pub const CLIENT_WILLS: &str = "wsmesh.clientWills";
/// Request to a ws-node: take no new clients and send away those that are there, see [`Drain`]. Reply: [`Draining`].
pub const DRAIN: &str = "wsmesh.drain";
/// Request to a ws-node: end a drain and take clients again. Reply: [`Draining`].
pub const RESUME: &str = "wsmesh.resume";
/// Request to a ws-node: send idle clients away, see [`Rebalance`]. Reply: `{"clients": N}`, how many at most.
pub const REBALANCE: &str = "wsmesh.rebalance";
/// Request to ws-nodes: close a client's connection. Reply: `{"kicked": bool}`.
pub const KICK: &str = "wsmesh.kick";

/// A client's event, handed to a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Forwarded {
    /// The client's id.
    pub client: String,
    /// The ws-node that it is connected to.
    pub server: String,
    /// The event's name.
    pub event: String,
    /// What the client sent with it, as it is.
    pub payload: Box<RawValue>,
    /// Where the rule says that the service replies to the client itself: what the reply is to name. Write it with
    /// [`frame::reply`](crate::frame::reply) and send it to the client.
    pub callback_id: Option<CallbackId<'static>>,
}

/// [`Forwarded`] as it is written.
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
    /// It as the client wrote it, where MessagePack on the way would make it another text for the same value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback_id_json: Option<String>,
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
        }
    }
}

impl TryFrom<Written> for Forwarded {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let value = written.callback_id.as_ref().map(|raw| raw.get());
        let json = written.callback_id_json.as_deref().or(value);
        let callback_id = json
            .map(|json| CallbackId::from_json(json).ok_or("callbackId is no string or number, or too long"))
            .transpose()?
            .map(CallbackId::into_owned);
        Ok(Self {
            client: written.client,
            server: written.server,
            event: written.event,
            payload: written.payload,
            callback_id,
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

/// Payload of [`CLIENT_WILLS`].
///
/// A server that alone holds something for a client (its place in a queue, its running match) leaves a will with the client's
/// ws-node. When that process leaves the roster, the ws-node sends the will's frame to the client. A will ends when it is revoked, when
/// the connection ends, or when another process leaves one of the same id, because it holds the thing now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wills {
    /// The process that leaves them: the number of its instance.
    pub instance: u64,
    /// What is new, in order.
    pub changes: Vec<WillChange>,
}

/// What is new about one will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WillChange {
    /// It is left. One of the same id for the same client is replaced.
    Left(Will),
    /// It is revoked, whoever left it.
    Revoked {
        /// The client's id.
        client: String,
        /// The will's id.
        id: String,
    },
}

/// What a client is told when a process is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Will {
    /// The client's id.
    pub client: String,
    /// What the will is about, for example a ticket: unique in the cluster.
    pub id: String,
    /// The frame that the client gets, as [`frame::push`](crate::frame::push) writes it.
    pub frame: String,
    /// The room that goes with it: the client leaves it then. A client that is not in it any more gets no frame: it was told
    /// before.
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
    /// The close code that it gets, see [`CloseCode`](crate::CloseCode).
    pub code: u16,
    /// A short text for the client.
    pub reason: String,
}

/// Payload of [`DRAIN`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// In how many milliseconds everyone is to be gone. None: as the server is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// Reply to [`DRAIN`] and [`RESUME`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// Whether new clients are refused.
    pub draining: bool,
    /// How many connections there are.
    pub connections: u64,
    /// In how many milliseconds the last of them will be told to go, if they are sent away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// Payload of [`REBALANCE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// How many clients to send away at most. None: what is above the mean of the servers of its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<usize>,
}
