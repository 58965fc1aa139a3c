//! One line of a batch: a command and what it needs, and how it is carried out.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wsmesh_adapter::{Adapter, ClientId, Room};

use super::farewell::ComeBack;
use super::{Detail, Farewell, Message, Outcome, Whereabouts};
use crate::access::Right;
use crate::json::{object, whole_or_null};
use crate::problem::Problem;
use crate::shapes::{self, Event, Name};

/// A line of a batch: an object whose only field names the command. Each does what the request of the same name does.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Command {
    #[serde(deserialize_with = "object")]
    SendToRoom(SendToRoom),
    #[serde(deserialize_with = "object")]
    SendToClient(SendToClient),
    #[serde(deserialize_with = "object")]
    SendToClients(SendToClients),
    #[serde(deserialize_with = "object")]
    Broadcast(Broadcast),
    #[serde(deserialize_with = "object")]
    Ask(Ask),
    #[serde(deserialize_with = "object")]
    Join(Membership),
    #[serde(deserialize_with = "object")]
    Leave(Membership),
    #[serde(deserialize_with = "object")]
    Disconnect(Disconnect),
    #[serde(deserialize_with = "object")]
    Query(Query),
    #[serde(deserialize_with = "object")]
    CloseRoom(CloseRoom),
    #[serde(deserialize_with = "object")]
    SetData(SetData),
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToRoom {
    #[serde(deserialize_with = "object")]
    #[schema(value_type = shapes::Room)]
    room: Room,
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    pub(super) payload: Option<Box<RawValue>>,
    #[serde(default)]
    /// Clients that do not get it.
    #[schema(value_type = Vec<Name>, max_items = 100)]
    except: Vec<ClientId>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToClient {
    #[schema(value_type = Name)]
    client: ClientId,
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendToClients {
    #[schema(value_type = Vec<Name>, min_items = 1, max_items = 1000)]
    pub(super) ids: Vec<ClientId>,
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SendToEveryone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broadcast {
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
    #[serde(default)]
    /// Clients that do not get it.
    #[schema(value_type = Vec<Name>, max_items = 100)]
    except: Vec<ClientId>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ask {
    #[schema(value_type = Name)]
    client: ClientId,
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// Longest wait for the answer. Default: the admin's request_timeout.
    #[schema(minimum = 1, maximum = 60000)]
    #[serde(default, deserialize_with = "whole_or_null")]
    timeout_ms: Option<u64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    #[schema(value_type = Name)]
    client: ClientId,
    #[serde(deserialize_with = "object")]
    #[schema(value_type = shapes::Room)]
    room: Room,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Disconnect {
    #[schema(value_type = Name)]
    client: ClientId,
    #[serde(default, deserialize_with = "whole_or_null")]
    code: Option<u16>,
    reason: Option<String>,
    come_back: Option<ComeBack>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    #[schema(value_type = Vec<Name>, min_items = 1, max_items = 1000)]
    ids: Vec<ClientId>,
    #[serde(default)]
    detail: Detail,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetData {
    #[schema(value_type = Name)]
    client: ClientId,
    /// At most 4096 bytes; null removes what is there.
    #[schema(value_type = Value)]
    data: Box<RawValue>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseRoom {
    #[serde(deserialize_with = "object")]
    #[schema(value_type = shapes::Room)]
    room: Room,
    #[schema(value_type = Option<Event>)]
    event: Option<String>,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

/// What came of a command.
pub(super) type Done = Result<Outcome, Problem>;

/// Commands of one kind do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Messages,
    Ask,
    Join,
    Leave,
    Disconnect,
    Query,
    CloseRoom,
    SetData,
}

impl Command {
    /// Commands of one kind may run at once.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::SendToRoom(_) | Self::SendToClient(_) | Self::Broadcast(_) => Kind::Message,
            Self::SendToClients(_) => Kind::Messages,
            Self::Ask(_) => Kind::Ask,
            Self::Join(_) => Kind::Join,
            Self::Leave(_) => Kind::Leave,
            Self::Disconnect(_) => Kind::Disconnect,
            Self::Query(_) => Kind::Query,
            Self::CloseRoom(_) => Kind::CloseRoom,
            Self::SetData(_) => Kind::SetData,
        }
    }

    /// What a caller needs for it.
    pub(super) fn right(&self) -> Right {
        match self {
            Self::SendToRoom(_)
            | Self::SendToClient(_)
            | Self::SendToClients(_)
            | Self::Broadcast(_)
            | Self::Ask(_) => Right::Publish,
            Self::Join(_) | Self::Leave(_) | Self::Disconnect(_) | Self::CloseRoom(_) | Self::SetData(_) => {
                Right::Clients
            }
            Self::Query(query) => query.detail.right(),
        }
    }

    /// What it does, for the audit, and to whom: as a request of its own is recorded. Nothing for what only reads.
    pub(super) fn deed(&self) -> Option<(&'static str, String)> {
        let member = |membership: &Membership| format!("client {}, room {}", membership.client, membership.room);
        Some(match self {
            Self::SendToRoom(_) => ("send to room", String::new()),
            Self::SendToClient(_) => ("send to client", String::new()),
            Self::SendToClients(_) => ("send to clients", String::new()),
            Self::Broadcast(_) => ("broadcast", String::new()),
            Self::Ask(_) => ("ask client", String::new()),
            Self::Join(membership) => ("join", member(membership)),
            Self::Leave(membership) => ("leave", member(membership)),
            Self::Disconnect(disconnect) => ("disconnect", format!("client {}", disconnect.client)),
            Self::CloseRoom(close) => ("close room", format!("room {}", close.room)),
            Self::SetData(set) => ("set data", format!("client {}", set.client)),
            Self::Query(_) => return None,
        })
    }

    /// The client whose whereabouts must be known before.
    pub(super) fn receiver(&self) -> Option<&ClientId> {
        match self {
            Self::SendToClient(send) => Some(&send.client),
            _ => None,
        }
    }

    /// Carries the command out.
    pub(super) async fn run(self, adapter: &Adapter, whereabouts: &Whereabouts) -> Done {
        match self {
            Self::SendToRoom(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_room(adapter, &send.room, &message, send.except)
                    .await
                    .map(Into::into)
            }
            Self::SendToClient(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_client(adapter, &send.client, &message, whereabouts).await
            }
            Self::SendToClients(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_clients(adapter, send.ids, &message, whereabouts)
                    .await
                    .map(Into::into)
            }
            Self::Broadcast(send) => {
                let message = Message::new(send.event, send.payload)?;
                super::to_everyone(adapter, &message, send.except).await.map(Into::into)
            }
            Self::Ask(ask) => {
                let question = Message::new(ask.event, ask.payload)?;
                super::ask(adapter, &ask.client, &question, ask.timeout_ms).await
            }
            Self::Join(Membership { client, room }) => super::join(adapter, &client, &room).await,
            Self::Leave(Membership { client, room }) => super::leave(adapter, &client, &room).await,
            Self::Disconnect(disconnect) => {
                let farewell = Farewell {
                    code: disconnect.code,
                    reason: disconnect.reason,
                    come_back: disconnect.come_back,
                };
                super::disconnect(adapter, &disconnect.client, farewell).await
            }
            Self::Query(Query { ids, detail }) => super::query(adapter, ids, detail).await,
            Self::SetData(SetData { client, data }) => super::set_data(adapter, &client, &data).await,
            Self::CloseRoom(close) => {
                let last = Message::last(close.event, close.payload)?;
                super::close_room(adapter, &close.room, last.as_ref()).await
            }
        }
    }
}
