//! The payloads of built-in events. An id may be a number, as in clients of websocket-cross-server-adapter.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use wsmesh_adapter::Room;
use wsmesh_protocol::ErrorCode;

use super::refusal::Refusal;

/// The namespace of rooms when a client names none.
const DEFAULT_NAMESPACE: &str = "chat";

/// An id that a client wrote as a string or as a whole number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct IdText(pub(super) String);

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl Visitor<'_> for Ids {
            type Value = IdText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: a string or a whole number")
            }
            fn visit_str<E>(self, id: &str) -> Result<IdText, E> {
                Ok(IdText(id.to_owned()))
            }
            fn visit_u64<E>(self, id: u64) -> Result<IdText, E> {
                Ok(IdText(id.to_string()))
            }
            fn visit_i64<E>(self, id: i64) -> Result<IdText, E> {
                Ok(IdText(id.to_string()))
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

/// Payload of `joinRoom` and `leaveRoom`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomPayload {
    room_id: IdText,
    namespace: Option<String>,
}

impl RoomPayload {
    pub(super) fn room(&self) -> Result<Room, Refusal> {
        room(self.namespace.as_deref(), &self.room_id)
    }
}

/// The room with this id; in the namespace `chat` if none is given.
pub(super) fn room(namespace: Option<&str>, id: &IdText) -> Result<Room, Refusal> {
    Ok(Room::new(namespace.unwrap_or(DEFAULT_NAMESPACE), &id.0)?)
}

/// Reads a payload.
pub(super) fn read<'a, T: Deserialize<'a>>(payload: &'a RawValue) -> Result<T, Refusal> {
    serde_json::from_str(payload.get())
        .map_err(|error| Refusal::new(ErrorCode::BadPayload, format!("the payload cannot be used: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room_of(json: &str) -> Result<Room, Refusal> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        read::<RoomPayload>(raw)?.room()
    }

    #[test]
    fn a_room_id_may_be_a_number_and_the_namespace_is_chat_unless_given() {
        assert_eq!(
            room_of(r#"{"roomId":1000}"#),
            Ok(Room::new("chat", "1000").expect("valid"))
        );
        assert_eq!(
            room_of(r#"{"roomId":"a","namespace":"game"}"#),
            Ok(Room::new("game", "a").expect("valid"))
        );
    }

    #[test]
    fn wrong_types_and_long_ids_are_refused_with_a_reason() {
        for bad in [
            "null",
            "[]",
            "\"x\"",
            "{}",
            r#"{"roomId":null}"#,
            r#"{"roomId":1.5}"#,
            r#"{"roomId":["a"]}"#,
        ] {
            assert_eq!(room_of(bad).expect_err("wrong").code, ErrorCode::BadPayload, "{bad}");
        }
        let long = room_of(&format!(r#"{{"roomId":"{}"}}"#, "x".repeat(256))).expect_err("256 bytes");
        assert_eq!(long.text, "room id has 256 bytes: at most 255 are allowed");
    }
}
