//! Routes that ask clients, move them between rooms, disconnect them, and find them.

use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wsmesh_adapter::ClientId;

use super::Api;
use super::address::{OfClient, OfMember, OfRoom};
use super::body::{AnyJson, JsonBody, OrEmpty};
use crate::access::Caller;
use crate::commands::{self, Accepted, Answered, Attached, Detail, Done, Farewell, Message, Outcome};
use crate::gather::{Answer, ClientsView};
use crate::json::whole_or_null;
use crate::problem::Problem;
use crate::shapes::{Event, Name};

type ClientsFound = Answer<ClientsView>;

/// A question for a client.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
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

/// Asks a client and waits for its answer
#[utoipa::path(
    post, path = "/clients/{id}/requests", operation_id = "ask", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    request_body(content = Question, example = json!({"event": "ready?", "payload": null, "timeoutMs": 2000})),
    responses(
        (status = 200, description = "What the client answered.", body = Answered),
        (status = 404, description = "The client is connected nowhere (code offline)."),
        (status = 409, description = "The client went away before it answered (code gone), or the first request with this \
            idempotency key is still running (code running)."),
        (status = 502, description = "The answer cannot be read."),
        (status = 504, description = "The client did not answer in time (code no-answer)."),
    ),
)]
pub(super) async fn ask(
    State(api): State<Api>,
    OfClient(client): OfClient,
    JsonBody(body): JsonBody<Question>,
) -> Result<Outcome, Problem> {
    let question = Message::new(body.event, body.payload)?;
    commands::ask(&api.adapter, &client, &question, body.timeout_ms).await
}

/// Puts a client in a room
///
/// Done when messages to the room reach the client. Joining twice is joining once.
#[utoipa::path(
    put, path = "/clients/{id}/rooms/{namespace}/{room}", operation_id = "join", tag = "clients",
    params(
        ("id" = Name, Path, description = "The client's id."),
        ("namespace" = Name, Path, description = "For example chat."),
        ("room" = Name, Path, description = "The room's id."),
    ),
    responses(
        (status = 200, description = "It is in the room.", body = Done),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn join(State(api): State<Api>, OfMember(client, room): OfMember) -> Result<Outcome, Problem> {
    commands::join(&api.adapter, &client, &room).await
}

/// Takes a client out of a room
///
/// Leaving a room that the client is not in does nothing.
#[utoipa::path(
    delete, path = "/clients/{id}/rooms/{namespace}/{room}", operation_id = "leave", tag = "clients",
    params(
        ("id" = Name, Path, description = "The client's id."),
        ("namespace" = Name, Path, description = "For example chat."),
        ("room" = Name, Path, description = "The room's id."),
    ),
    responses(
        (status = 200, description = "It is not in the room.", body = Done),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn leave(State(api): State<Api>, OfMember(client, room): OfMember) -> Result<Outcome, Problem> {
    commands::leave(&api.adapter, &client, &room).await
}

/// Closes every connection of a client
#[utoipa::path(
    post, path = "/clients/{id}/disconnect", operation_id = "disconnect", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    request_body(content = Option<Farewell>, example = json!({"reason": "you were banned", "comeBack": "never"})),
    responses(
        (status = 200, description = "They are closed.", body = Done),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn disconnect(
    State(api): State<Api>,
    OfClient(client): OfClient,
    OrEmpty(farewell): OrEmpty<Farewell>,
) -> Result<Outcome, Problem> {
    commands::disconnect(&api.adapter, &client, farewell).await
}

/// The clients in question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ids {
    #[schema(value_type = Vec<Name>, min_items = 1, max_items = 1000)]
    ids: Vec<ClientId>,
    #[serde(default)]
    detail: Detail,
}

/// Which of up to 1,000 clients are connected, where, and since when
///
/// One question to every server, whatever the number of clients.
#[utoipa::path(
    post, path = "/clients/query", operation_id = "query", tag = "clients",
    request_body(content = Ids, example = json!({"ids": ["ann", "bob"]})),
    responses((status = 200, description = "Each client once, in the order of the question.", body = ClientsFound)),
)]
pub(super) async fn query(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody<Ids>,
) -> Result<Outcome, Problem> {
    caller.need(body.detail.right())?;
    commands::query(&api.adapter, body.ids, body.detail).await
}

/// What services attached to a client
///
/// Of several connections, the newest counts.
#[utoipa::path(
    get, path = "/clients/{id}/data", operation_id = "data", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "The data; null if there is none.", body = Attached),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn data(State(api): State<Api>, OfClient(client): OfClient) -> Result<Outcome, Problem> {
    commands::data(&api.adapter, &client).await
}

/// Replaces what is attached to a client
///
/// At once on every connection that the client has now. Later events carry it. Null removes what is there.
#[utoipa::path(
    put, path = "/clients/{id}/data", operation_id = "setData", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    request_body(content = Value, description = "Any JSON value of at most 4096 bytes.", example = json!({"team": "red"})),
    responses(
        (status = 200, description = "It is attached.", body = Done),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn set_data(
    State(api): State<Api>,
    OfClient(client): OfClient,
    AnyJson(data): AnyJson,
) -> Result<Outcome, Problem> {
    commands::set_data(&api.adapter, &client, &data).await
}

/// Removes what is attached to a client
#[utoipa::path(
    delete, path = "/clients/{id}/data", operation_id = "removeData", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    responses(
        (status = 200, description = "Nothing is attached.", body = Done),
        (status = 404, description = "The client is connected nowhere (code offline)."),
    ),
)]
pub(super) async fn remove_data(State(api): State<Api>, OfClient(client): OfClient) -> Result<Outcome, Problem> {
    commands::set_data(&api.adapter, &client, RawValue::NULL).await
}

/// Sent to the members before they leave; nothing if absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LastMessage)]
pub(super) struct Last {
    #[schema(value_type = Option<Event>)]
    event: Option<String>,
    /// Any JSON value, sent exactly as written; null if absent.
    #[schema(value_type = Value, required = false)]
    payload: Option<Box<RawValue>>,
}

/// Takes every client out of a room, after a last message if one is given
#[utoipa::path(
    delete, path = "/rooms/{namespace}/{id}", operation_id = "closeRoom", tag = "rooms",
    params(
        ("namespace" = Name, Path, description = "For example chat."),
        ("id" = Name, Path, description = "The room's id."),
    ),
    request_body(content = Option<Last>, example = json!({"event": "closed", "payload": {"why": "the auction is over"}})),
    responses((status = 202, description = "They are told to leave.", body = Accepted)),
)]
pub(super) async fn close_room(
    State(api): State<Api>,
    OfRoom(room): OfRoom,
    OrEmpty(body): OrEmpty<Last>,
) -> Result<Outcome, Problem> {
    let last = Message::last(body.event, body.payload)?;
    commands::close_room(&api.adapter, &room, last.as_ref()).await
}
