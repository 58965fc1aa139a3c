//! Routes that send messages to clients: to a room, to one client, to several, to everyone.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, Room};

use super::Api;
use super::address::{OfClient, OfRoom};
use super::body::JsonBody;
use crate::audit::Subject;
use crate::commands::{self, Message, Outcome, Whereabouts};
use crate::gather;
use crate::json::object_or_null;
use crate::problem::Problem;

/// Body of `POST /api/v1/rooms/{namespace}/{id}/messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForRoom {
    event: String,
    /// Any JSON value; it is sent exactly as written.
    payload: Option<Box<RawValue>>,
    /// Members that do not get it.
    #[serde(default)]
    except: Vec<ClientId>,
}

/// `POST /api/v1/rooms/{namespace}/{id}/messages`
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

/// Body of `POST /api/v1/clients/{id}/messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForClient {
    event: String,
    payload: Option<Box<RawValue>>,
}

/// `POST /api/v1/clients/{id}/messages`
pub(super) async fn to_client(
    State(api): State<Api>,
    OfClient(client): OfClient,
    JsonBody(body): JsonBody<ForClient>,
) -> Result<Outcome, Problem> {
    let message = Message::new(body.event, body.payload)?;
    let whereabouts = Whereabouts::of(&api.adapter, &client).await;
    commands::to_client(&api.adapter, &client, &message, &whereabouts).await
}

/// Body of `POST /api/v1/clients/messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForClients {
    ids: Vec<ClientId>,
    event: String,
    payload: Option<Box<RawValue>>,
}

/// `POST /api/v1/clients/messages`
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

/// Body of `POST /api/v1/broadcast`: an event for everyone, for a room, or for some clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    event: String,
    payload: Option<Box<RawValue>>,
    /// Clients that do not get it; not with `clients`.
    #[serde(default)]
    except: Vec<ClientId>,
    #[serde(default, deserialize_with = "object_or_null")]
    room: Option<Room>,
    clients: Option<Vec<ClientId>>,
}

/// Answer of `POST /api/v1/broadcast`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    #[serde(serialize_with = "gather::rfc3339")]
    as_of: Timestamp,
    target: SentTo,
    /// Requested clients that are certainly not connected to any server.
    offline: Vec<ClientId>,
    /// Requested clients that are connected nowhere as far as is known. The message was sent to them.
    unknown: Vec<ClientId>,
    /// Requested clients for which no Redis node took the message.
    failed: Vec<ClientId>,
    accepted: bool,
    /// How many servers got it; null while no Redis node is heard.
    servers: Option<usize>,
}

/// The receivers of a broadcast.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum SentTo {
    Everyone,
    Room,
    Clients,
}

/// `POST /api/v1/broadcast`
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
