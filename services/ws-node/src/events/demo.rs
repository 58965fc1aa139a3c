//! Events of the demo profile: those of the examples of websocket-cross-server-adapter, so that its clients work here
//! unchanged. They let anybody write to everybody; production has none of them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wsmesh_adapter::{Adapter, ClientId, Frame, Presence, PublishError, Room, RoomOptions, Scope};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::frame;

use super::call::{Call, OK};
use super::payloads::{self, IdText};
use super::refusal::Refusal;
use super::work::{Outcome, Work};

/// A request is answered with `{"ok":true}`; a fire-and-forget `say` comes back as it is.
pub(super) fn say(call: Call<'_>) -> Work {
    if call.callback_id.is_none() {
        call.session.send(Frame::new(frame::push_raw("say", call.payload)));
    }
    Work::Done(Ok(OK))
}

/// Payload of `command`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Command<'a> {
    action: Action,
    #[serde(borrow, default)]
    msg: Option<&'a RawValue>,
    to_player_id: Option<IdText>,
    to_player_ids: Option<Vec<IdText>>,
    room_id: Option<IdText>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    Broadcast,
    ToPlayer,
    ToPlayers,
    ToRoom,
}

/// What the addressed clients get as the payload of the event `say`.
#[derive(Debug, Serialize)]
struct Said<'a> {
    action: Action,
    msg: Option<&'a RawValue>,
}

#[derive(Debug)]
enum Address {
    Everyone,
    Clients(Vec<ClientId>),
    Room(Room),
}

/// Most clients that one `toPlayers` may name.
const MOST_PLAYERS: usize = 1000;

/// Pushes `say` with `{action, msg}` to everyone, to clients or to a room.
pub(super) fn command(call: Call<'_>) -> Work {
    let (address, frame) = match prepare(call.payload) {
        Ok(prepared) => prepared,
        Err(refusal) => return Work::Done(Err(refusal)),
    };
    let adapter = call.edge().adapter.clone();
    Work::later(call, async move { send(&adapter, address, frame).await })
}

fn prepare(payload: &RawValue) -> Result<(Address, Frame), Refusal> {
    let command: Command<'_> = payloads::read(payload)?;
    let missing = |what: &'static str| Refusal::new(ErrorCode::BadPayload, what);
    let address = match command.action {
        Action::Broadcast => Address::Everyone,
        Action::ToPlayer => {
            let id = command
                .to_player_id
                .ok_or_else(|| missing("toPlayer needs toPlayerId"))?;
            Address::Clients(vec![ClientId::new(id.0)?])
        }
        Action::ToPlayers => {
            let ids = command
                .to_player_ids
                .ok_or_else(|| missing("toPlayers needs toPlayerIds"))?;
            if ids.len() > MOST_PLAYERS {
                return Err(missing("toPlayers takes at most 1000 ids"));
            }
            Address::Clients(
                ids.into_iter()
                    .map(|id| ClientId::new(id.0))
                    .collect::<Result<_, _>>()?,
            )
        }
        Action::ToRoom => {
            let id = command.room_id.ok_or_else(|| missing("toRoom needs roomId"))?;
            Address::Room(Room::new("chat", id.0)?)
        }
    };
    let said = Said {
        action: command.action,
        msg: command.msg,
    };
    Ok((address, Frame::new(frame::push("say", &said))))
}

/// The reply to `command`.
#[derive(Serialize)]
struct Sent {
    msg: &'static str,
    /// Addressed clients that are connected nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offline: Vec<ClientId>,
}

async fn send(adapter: &Adapter, address: Address, frame: Frame) -> Outcome {
    let mut offline = Vec::new();
    match address {
        Address::Everyone => adapter.to_everyone(frame, Scope::Cluster).await?,
        Address::Room(room) => adapter.to_room(&room, frame, RoomOptions::default()).await?,
        Address::Clients(clients) => offline = Box::pin(to_clients(adapter, clients, frame)).await?,
    }
    let sent = Sent { msg: "sent", offline };
    serde_json::to_vec(&sent)
        .map(Bytes::from)
        .map_err(|error| Refusal::new(ErrorCode::Internal, format!("the reply cannot be written: {error}")))
}

/// Returns the clients that are connected nowhere.
async fn to_clients(adapter: &Adapter, clients: Vec<ClientId>, frame: Frame) -> Result<Vec<ClientId>, PublishError> {
    match &clients[..] {
        [client] => match adapter.to_client(client, frame).await? {
            Presence::Offline => Ok(clients),
            _ => Ok(Vec::new()),
        },
        clients => adapter.to_clients(clients, frame).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(json: &str) -> Result<(Address, Frame), Refusal> {
        prepare(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn a_command_pushes_its_action_and_message_as_they_are() {
        let (_, frame) = prepared(r#"{"action":"broadcast","msg":{"a":[1, 2]}}"#).expect("good");
        assert_eq!(
            frame.as_str(),
            r#"{"event":"say","payload":{"action":"broadcast","msg":{"a":[1, 2]}}}"#
        );
        let (_, frame) = prepared(r#"{"action":"broadcast"}"#).expect("good");
        assert_eq!(
            frame.as_str(),
            r#"{"event":"say","payload":{"action":"broadcast","msg":null}}"#
        );
    }

    #[test]
    fn a_command_without_its_address_is_refused() {
        for bad in [
            r#"{"action":"toPlayer"}"#,
            r#"{"action":"toPlayers","toPlayerIds":"7"}"#,
            r#"{"action":"toRoom","roomId":""}"#,
            r#"{"action":"shout"}"#,
            r#"{}"#,
            "7",
        ] {
            assert_eq!(prepared(bad).expect_err("refused").code, ErrorCode::BadPayload, "{bad}");
        }
    }

    #[test]
    fn players_may_be_named_by_numbers() {
        let (address, _) = prepared(r#"{"action":"toPlayers","toPlayerIds":[3,"10"],"msg":1}"#).expect("good");
        assert!(matches!(address, Address::Clients(ids) if ids.iter().map(ClientId::as_str).eq(["3", "10"])));
    }
}
