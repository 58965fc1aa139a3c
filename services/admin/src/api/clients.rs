//! Routes that ask clients, move them between rooms, disconnect them, and find them.

use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;
use wsmesh_adapter::ClientId;

use super::Api;
use super::address::{OfClient, OfMember, OfRoom};
use super::body::{AnyJson, JsonBody, OrEmpty};
use crate::access::Caller;
use crate::commands::{self, Detail, Farewell, Message, Outcome};
use crate::problem::Problem;

/// Body of `POST /api/v1/clients/{id}/requests`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    event: String,
    payload: Option<Box<RawValue>>,
    timeout_ms: Option<u64>,
}

/// `POST /api/v1/clients/{id}/requests`
pub(super) async fn ask(
    State(api): State<Api>,
    OfClient(client): OfClient,
    JsonBody(body): JsonBody<Question>,
) -> Result<Outcome, Problem> {
    let question = Message::new(body.event, body.payload)?;
    commands::ask(&api.adapter, &client, &question, body.timeout_ms).await
}

/// `PUT /api/v1/clients/{id}/rooms/{namespace}/{room}`
pub(super) async fn join(State(api): State<Api>, OfMember(client, room): OfMember) -> Result<Outcome, Problem> {
    commands::join(&api.adapter, &client, &room).await
}

/// `DELETE /api/v1/clients/{id}/rooms/{namespace}/{room}`
pub(super) async fn leave(State(api): State<Api>, OfMember(client, room): OfMember) -> Result<Outcome, Problem> {
    commands::leave(&api.adapter, &client, &room).await
}

/// `POST /api/v1/clients/{id}/disconnect`
pub(super) async fn disconnect(
    State(api): State<Api>,
    OfClient(client): OfClient,
    OrEmpty(farewell): OrEmpty<Farewell>,
) -> Result<Outcome, Problem> {
    commands::disconnect(&api.adapter, &client, farewell).await
}

/// Body of `POST /api/v1/clients/query`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ids {
    ids: Vec<ClientId>,
    #[serde(default)]
    detail: Detail,
}

/// `POST /api/v1/clients/query`
pub(super) async fn query(
    State(api): State<Api>,
    caller: Caller,
    JsonBody(body): JsonBody<Ids>,
) -> Result<Outcome, Problem> {
    caller.need(body.detail.right())?;
    commands::query(&api.adapter, body.ids, body.detail).await
}

/// `GET /api/v1/clients/{id}/data`
pub(super) async fn data(State(api): State<Api>, OfClient(client): OfClient) -> Result<Outcome, Problem> {
    commands::data(&api.adapter, &client).await
}

/// `PUT /api/v1/clients/{id}/data`
pub(super) async fn set_data(
    State(api): State<Api>,
    OfClient(client): OfClient,
    AnyJson(data): AnyJson,
) -> Result<Outcome, Problem> {
    commands::set_data(&api.adapter, &client, &data).await
}

/// `DELETE /api/v1/clients/{id}/data`
pub(super) async fn remove_data(State(api): State<Api>, OfClient(client): OfClient) -> Result<Outcome, Problem> {
    commands::set_data(&api.adapter, &client, RawValue::NULL).await
}

/// Body of `DELETE /api/v1/rooms/{namespace}/{id}`: a last message to the members.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    event: Option<String>,
    payload: Option<Box<RawValue>>,
}

/// `DELETE /api/v1/rooms/{namespace}/{id}`
pub(super) async fn close_room(
    State(api): State<Api>,
    OfRoom(room): OfRoom,
    OrEmpty(body): OrEmpty<Last>,
) -> Result<Outcome, Problem> {
    let last = Message::last(body.event, body.payload)?;
    commands::close_room(&api.adapter, &room, last.as_ref()).await
}
