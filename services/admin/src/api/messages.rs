//! Routes that send messages to clients: to a room, to one client, to several, to everyone.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wsmesh_adapter::{ClientId, Room};

use super::Api;
use super::address::{OfClient, OfRoom};
use super::body::JsonBody;
use crate::audit::Subject;
use crate::commands::{self, Accepted, AcceptedForClient, AcceptedForClients, Message, Outcome, Whereabouts};
use crate::gather;
use crate::json::object_or_null;
use crate::problem::Problem;
use crate::shapes::{self, Event, Name};

/// A message for a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoomMessage)]
pub(super) struct ForRoom {
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// Members that do not get it.
    #[serde(default)]
    #[schema(value_type = Vec<Name>, max_items = 100)]
    except: Vec<ClientId>,
}

/// Sends an event to the clients in a room
#[utoipa::path(
    post, path = "/rooms/{namespace}/{id}/messages", operation_id = "sendToRoom", tag = "messages",
    params(
        ("namespace" = Name, Path, description = "For example chat."),
        ("id" = Name, Path, description = "The room's id."),
    ),
    request_body(content = ForRoom, example = json!({"event": "say", "payload": {"msg": "hello"}})),
    responses((status = 202, description = "It is on its way.", body = Accepted)),
)]
pub(super) async fn to_room(
    State(api): State<Api>,
    OfRoom(room): OfRoom,
    JsonBody(body): JsonBody<ForRoom>,
) -> Result<Outcome, Problem> {
    let message = Message::new(body.event, body.payload)?;
    commands::to_room(&api.adapter, &room, &message, body.except)
        .await
        .map(Into::into)
}

/// A message for a client.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientMessage)]
pub(super) struct ForClient {
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

/// Sends an event to a client, wherever it is connected
#[utoipa::path(
    post, path = "/clients/{id}/messages", operation_id = "sendToClient", tag = "messages",
    params(("id" = Name, Path, description = "The client's id.")),
    request_body(content = ForClient, example = json!({"event": "say", "payload": {"msg": "hello"}})),
    responses(
        (status = 202, description = "It is on its way.", body = AcceptedForClient),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn to_client(
    State(api): State<Api>,
    OfClient(client): OfClient,
    JsonBody(body): JsonBody<ForClient>,
) -> Result<Outcome, Problem> {
    let message = Message::new(body.event, body.payload)?;
    let whereabouts = Whereabouts::of(&api.adapter, &client).await;
    commands::to_client(&api.adapter, &client, &message, &whereabouts).await
}

/// A message for some clients.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientsMessage)]
pub(super) struct ForClients {
    /// The clients; each gets it once.
    #[schema(value_type = Vec<Name>, min_items = 1, max_items = 1000)]
    ids: Vec<ClientId>,
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

/// Sends an event to up to 1,000 clients
#[utoipa::path(
    post, path = "/clients/messages", operation_id = "sendToClients", tag = "messages",
    request_body(content = ForClients, example = json!({"ids": ["ann", "bob"], "event": "say", "payload": {"msg": "hello"}})),
    responses(
        (status = 202, description = "It is on its way, to those that are not offline.", body = AcceptedForClients),
        (status = 404, description = "All of them are connected nowhere (code offline)."),
    ),
)]
pub(super) async fn to_clients(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(body): JsonBody<ForClients>,
) -> Result<Outcome, Problem> {
    subject.name(format!("{} clients", body.ids.len()));
    let message = Message::new(body.event, body.payload)?;
    let whereabouts = Whereabouts::of_ids(&api.adapter, &body.ids).await?;
    let sent = commands::to_clients(&api.adapter, body.ids, &message, &whereabouts).await?;
    Ok(sent.into())
}

/// A message for everyone, unless a room or some clients are given. Both cannot be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    #[schema(value_type = Event)]
    event: String,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// Clients that do not get it; not with `clients`.
    #[serde(default)]
    #[schema(value_type = Vec<Name>, max_items = 100)]
    except: Vec<ClientId>,
    #[serde(default, deserialize_with = "object_or_null")]
    #[schema(value_type = Option<shapes::Room>)]
    room: Option<Room>,
    #[schema(value_type = Option<Vec<Name>>, min_items = 1, max_items = 1000)]
    clients: Option<Vec<ClientId>>,
}

/// The message was handed to a Redis node that every server concerned hears.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    #[serde(serialize_with = "gather::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    target: SentTo,
    /// Requested clients that are certainly not connected to any server.
    #[schema(value_type = Vec<Name>)]
    offline: Vec<ClientId>,
    /// Requested clients that are connected nowhere as far as is known. The message was sent to them.
    #[schema(value_type = Vec<Name>)]
    unknown: Vec<ClientId>,
    /// Requested clients for which no Redis node took the message.
    #[schema(value_type = Vec<Name>)]
    failed: Vec<ClientId>,
    accepted: bool,
    /// How many servers got it; null while no Redis node is heard.
    #[schema(required = true)]
    servers: Option<usize>,
}

/// The receivers of a broadcast.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum SentTo {
    Everyone,
    Room,
    Clients,
}

/// Sends an event to everyone, to a room, or to some clients
///
/// The answer is 200, and means as much as the 202 of other messages.
#[utoipa::path(
    post, path = "/broadcast", operation_id = "broadcast", tag = "messages",
    request_body(
        content = Broadcast,
        example = json!({"event": "say", "payload": {"msg": "hello"}, "room": {"namespace": "chat", "id": "lobby"}}),
    ),
    responses(
        (status = 200, description = "It is on its way.", body = Sent),
        (status = 404, description = "All of the given clients are connected nowhere (code offline)."),
    ),
)]
pub(super) async fn broadcast(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(body): JsonBody<Broadcast>,
) -> Result<Json<Sent>, Problem> {
    match (&body.room, &body.clients) {
        (Some(room), None) => subject.name(format!("room {room}")),
        (None, Some(clients)) => subject.name(format!("{} clients", clients.len())),
        _ => {}
    }
    let message = Message::new(body.event, body.payload)?;
    let adapter = &api.adapter;
    match (body.room, body.clients) {
        (None, None) => {
            let accepted = commands::to_everyone(adapter, &message, body.except).await?;
            Ok(Json(Sent::to(SentTo::Everyone, accepted.servers)))
        }
        (Some(room), None) => {
            let accepted = commands::to_room(adapter, &room, &message, body.except).await?;
            Ok(Json(Sent::to(SentTo::Room, accepted.servers)))
        }
        (None, Some(_)) if !body.except.is_empty() => Err(Problem::bad_request(
            "except goes with everyone or a room: leave these clients out of clients",
        )),
        (None, Some(clients)) => {
            let whereabouts = Whereabouts::of_ids(adapter, &clients).await?;
            let accepted = commands::to_clients(adapter, clients, &message, &whereabouts).await?;
            Ok(Json(Sent {
                offline: accepted.offline,
                unknown: accepted.unknown,
                failed: accepted.failed,
                ..Sent::to(SentTo::Clients, accepted.servers)
            }))
        }
        (Some(_), Some(_)) => Err(Problem::bad_request(
            "both room and clients are given: a message goes to one of them",
        )),
    }
}

impl Sent {
    fn to(target: SentTo, servers: Option<usize>) -> Self {
        Self {
            as_of: Timestamp::now(),
            target,
            offline: Vec::new(),
            unknown: Vec::new(),
            failed: Vec::new(),
            accepted: true,
            servers,
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}
