//! `publish {roomId, namespace?, data}`: a client sends a message to a room, without a service.
//!
//! The members get the push `roomMessage {namespace, roomId, from, data}`. Its name is fixed and the server writes `from`, so
//! that no client can pass for another one or for a service.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, Frame, PublishError, Room, RoomOptions};
use wsmesh_protocol::{ErrorCode, frame};

use super::call::{Call, OK};
use super::payloads::{self, IdText};
use super::refusal::Refusal;
use super::work::Work;
use crate::metrics::{Denied, Limited};
use crate::namespaces::Publishing;

/// The push that members get.
const ROOM_MESSAGE: &str = "roomMessage";

/// Payload of `publish`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted<'a> {
    room_id: IdText,
    namespace: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Payload of the push.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoomMessage<'a> {
    namespace: &'a str,
    room_id: &'a str,
    from: &'a ClientId,
    data: &'a RawValue,
}

/// Publishes; the reply comes when the message is on its way to the other servers.
pub(super) fn publish(call: Call<'_>) -> Work {
    let (room, frame, options) = match prepare(call) {
        Ok(message) => message,
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    let edge = call.edge();
    let (adapter, published) = (edge.adapter.clone(), edge.metrics.frames.published.clone());
    Work::later(call, async move {
        adapter.to_room(&room, frame, options).await.map_err(refusal)?;
        published.inc();
        Ok(OK)
    })
}

fn prepare(call: Call<'_>) -> Result<(Room, Frame, RoomOptions), Refusal> {
    let wanted: Wanted<'_> = payloads::read(call.payload)?;
    let room = payloads::room(wanted.namespace.as_deref(), &wanted.room_id)?;
    let (client, publishing) = (
        call.session.client(),
        call.edge().namespaces.publishing(&room.namespace),
    );
    check_permission(call, &room, publishing)?;
    check_limits(call, wanted.data, publishing)?;
    let message = RoomMessage {
        namespace: room.namespace.as_str(),
        room_id: room.id.as_str(),
        from: client,
        data: wanted.data,
    };
    let frame = Frame::new(frame::push(ROOM_MESSAGE, &message));
    let options = RoomOptions {
        except: if publishing.echo_to_sender {
            Vec::new()
        } else {
            vec![client.clone()]
        },
        ..RoomOptions::default()
    };
    Ok((room, frame, options))
}

/// A list in the client's token decides alone; without one, members may publish where the settings say so.
fn check_permission(call: Call<'_>, room: &Room, publishing: &Publishing) -> Result<(), Refusal> {
    let of_token = call.session.handler().grant.borrow().allows_publish(room);
    let text = match of_token {
        Some(true) => return Ok(()),
        None if publishing.is_open => {
            if call.edge().adapter.has_joined(call.session.client(), room) {
                return Ok(());
            }
            "only members may publish to this room: join it first"
        }
        _ => "this client may not publish to this room",
    };
    call.edge().metrics.frames.denied(Denied::Publish);
    Err(Refusal::new(ErrorCode::NotAllowed, text))
}

fn check_limits(call: Call<'_>, data: &RawValue, publishing: &Publishing) -> Result<(), Refusal> {
    let (edge, most) = (call.edge(), publishing.most_bytes);
    if data.get().len() > most {
        edge.metrics.frames.limited(Limited::PublishBytes);
        let text = format!(
            "data has {} bytes: at most {most} may be published here",
            data.get().len()
        );
        return Err(Refusal::new(ErrorCode::TooBig, text));
    }
    if edge
        .namespaces
        .count(&call.session.handler().published, publishing, edge.now())
    {
        return Ok(());
    }
    edge.metrics.frames.limited(Limited::Publish);
    Err(Refusal::new(
        ErrorCode::RateLimited,
        "too many messages to rooms of this namespace: send this one again later",
    ))
}

fn refusal(error: PublishError) -> Refusal {
    match error {
        PublishError::TooLarge { most, .. } => Refusal::new(
            ErrorCode::TooBig,
            format!("this is too large for the other servers: at most {most} bytes can be sent on"),
        ),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> Result<Wanted<'_>, Refusal> {
        payloads::read(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn the_data_may_be_any_json_but_must_be_there() {
        for data in ["null", "7", r#""x""#, r#"{"from": "nobody"}"#, "[1, 2]"] {
            let json = format!(r#"{{"roomId":7,"data":{data}}}"#);
            let wanted = wanted(&json).expect("good");
            assert_eq!((wanted.data.get(), wanted.room_id.0.as_str()), (data, "7"));
        }
        for bad in [
            r#"{"roomId":"1"}"#,
            r#"{"data":1}"#,
            r#"{"roomId":null,"data":1}"#,
            r#"{"roomId":"1","namespace":7,"data":1}"#,
            r#"{"roomId":"1","data":1,"data":2}"#,
            "7",
        ] {
            let refused = wanted(bad).err().expect("refused");
            assert_eq!(refused.code, ErrorCode::BadPayload, "{bad}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_for_the_other_servers_is_too_big() {
        let error = PublishError::TooLarge { bytes: 9, most: 7 };
        assert_eq!(refusal(error).code, ErrorCode::TooBig);
    }
}
