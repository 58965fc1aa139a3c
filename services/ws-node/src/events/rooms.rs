//! `joinRoom` and `leaveRoom`: a client joins and leaves rooms of the namespaces that its token or the settings allow.

use bytes::Bytes;
use wsmesh_adapter::{Adapter, ClientId, Room};
use wsmesh_protocol::ErrorCode;

use super::call::Call;
use super::payloads::{self, RoomPayload};
use super::refusal::Refusal;
use super::work::Work;
use crate::auth::Grant;
use crate::client::Session;
use crate::edge::Edge;
use crate::metrics::{Denied, Limited};

/// Joins; the reply comes when the messages of other servers to the room arrive here.
pub(super) fn join(call: Call<'_>) -> Work {
    let (room, adapter, client) = match allowed_room(call) {
        Ok(allowed) => allowed,
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    let (most, joined) = (
        call.edge().settings.limits.rooms_per_client,
        adapter.joined_rooms(&client),
    );
    if most > 0 && joined.len() >= most && !joined.contains(&room) {
        call.edge().metrics.frames.limited(Limited::Rooms);
        let text = format!("a client may be in {most} rooms: leave one first");
        return Work::Done(Err(Refusal::new(ErrorCode::NotAllowed, text)));
    }
    Work::later(call, async move {
        adapter.join(&client, room).await?;
        Ok(Bytes::from_static(br#"{"msg":"joined"}"#))
    })
}

/// Leaves; leaving a room that the client is not in is not an error.
pub(super) fn leave(call: Call<'_>) -> Work {
    let (room, adapter, client) = match allowed_room(call) {
        Ok(allowed) => allowed,
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    Work::later(call, async move {
        adapter.leave(&client, &room).await?;
        Ok(Bytes::from_static(br#"{"msg":"left"}"#))
    })
}

/// Takes a client out of the rooms that it could join itself with the grant `before`, and no longer can. Rooms that a
/// server put it in are not touched.
pub(super) async fn leave_lost(session: &Session, before: &Grant) {
    let (state, client) = (session.handler(), session.client());
    let edge = &state.edge;
    let mut lost = edge.adapter.joined_rooms(client);
    lost.retain(|room| may_join(edge, before, room) && !may_join(edge, &state.grant.borrow(), room));
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

/// The room that is named, if the client may join and leave it, with the adapter and the client's id.
fn allowed_room(call: Call<'_>) -> Result<(Room, Adapter, ClientId), Refusal> {
    let room = payloads::read::<RoomPayload>(call.payload)?.room()?;
    let edge = call.edge();
    if may_join(edge, &call.session.handler().grant.borrow(), &room) {
        return Ok((room, edge.adapter.clone(), call.session.client().clone()));
    }
    edge.metrics.frames.denied(Denied::Room);
    Err(Refusal::new(
        ErrorCode::NotAllowed,
        "this client may not join or leave this room itself",
    ))
}
