//! `joinRoom` and `leaveRoom`: a client goes in and out of rooms of the namespaces that the configuration opens to clients.

use bytes::Bytes;
use wsmesh_adapter::{ClientError, Room};
use wsmesh_protocol::ErrorCode;

use super::payloads::{self, RoomPayload};
use super::{Call, Refusal, Work};
use crate::auth::Grant;
use crate::edge::Edge;
use crate::engine::Session;
use crate::metrics::{Denied, Limited};

/// Joins; the reply comes when the other servers' messages to the room are heard here.
pub(super) fn join(call: Call<'_>) -> Work {
    let (room, adapter, client) = match allowed_room(call) {
        Ok(room) => (
            room,
            call.session.edge().adapter.clone(),
            call.session.link.client.clone(),
        ),
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    let (most, joined) = (
        call.session.edge().settings.limits.rooms_per_client,
        adapter.joined_rooms(&client),
    );
    if most > 0 && joined.len() >= most && !joined.contains(&room) {
        call.session.edge().metrics.limited(Limited::Rooms);
        let text = format!("a client may be in {most} rooms: leave one first");
        return Work::Done(Err(Refusal::new(ErrorCode::NotAllowed, text)));
    }
    Work::later(call, async move {
        adapter.join(&client, room).await?;
        Ok(Bytes::from_static(br#"{"msg":"joined"}"#))
    })
}

/// Leaves; leaving a room that the client is not in is no error.
pub(super) fn leave(call: Call<'_>) -> Work {
    let (room, adapter, client) = match allowed_room(call) {
        Ok(room) => (
            room,
            call.session.edge().adapter.clone(),
            call.session.link.client.clone(),
        ),
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    Work::later(call, async move {
        adapter.leave(&client, &room).await?;
        Ok(Bytes::from_static(br#"{"msg":"left"}"#))
    })
}

/// Takes a client out of the rooms that it could join by itself as it was granted before, and no longer can. Where a server
/// put it stays the server's matter.
pub(super) async fn leave_lost(session: &Session, before: &Grant) {
    let (edge, client) = (session.edge(), &session.link.client);
    let mut lost = edge.adapter.joined_rooms(client);
    lost.retain(|room| may_join(edge, before, room) && !may_join(edge, &session.link.grant.borrow(), room));
    for room in lost {
        if let Err(error) = edge.adapter.leave(client, &room).await {
            tracing::debug!(%client, %error, "a room that is no longer allowed was not left everywhere yet");
        }
    }
}

fn may_join(edge: &Edge, grant: &Grant, room: &Room) -> bool {
    let of_token = grant.allows_room(room);
    of_token.unwrap_or_else(|| edge.routes.lets_clients_join(&room.namespace))
}

fn allowed_room(call: Call<'_>) -> Result<Room, Refusal> {
    let room = payloads::read::<RoomPayload>(call.payload)?.room()?;
    let edge = call.session.edge();
    if may_join(edge, &call.session.link.grant.borrow(), &room) {
        return Ok(room);
    }
    edge.metrics.denied(Denied::Room);
    Err(Refusal::new(
        ErrorCode::NotAllowed,
        "this client may not join or leave this room by itself",
    ))
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Name(_) => ErrorCode::BadPayload,
            _ => ErrorCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
