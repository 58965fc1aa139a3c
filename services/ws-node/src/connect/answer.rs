//! What the connect hook may answer. Read strictly: a field that is misspelt, or that cannot be read, may have been meant to
//! restrict the client, so the whole answer is refused. Problems name fields, and never quote values.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, DataError, Room};

use crate::auth::{Lists, Overrides, Permissions};

/// Most rooms that a client joins at once.
const MOST_ROOMS: usize = 256;

/// What the hook said about a client.
#[derive(Debug)]
pub(super) struct Permission {
    pub(super) client: Option<ClientId>,
    pub(super) overrides: Overrides,
    pub(super) data: Option<Box<RawValue>>,
    pub(super) rooms: Vec<Room>,
}

/// A room as an object: the only way to name one whose namespace has a colon, at which the text is split.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomObject {
    namespace: String,
    id: String,
}

/// Reads an answer. The error says what is wrong with it.
pub(super) fn read(body: &[u8]) -> Result<Permission, String> {
    let fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(|_| "its answer is not a JSON object".to_owned())?;
    for name in fields.keys() {
        if !FIELDS.contains(&name.as_str()) {
            let name: String = name.chars().take(40).collect();
            return Err(format!(
                "the answer has an unknown field {name:?}: remove it or correct its spelling"
            ));
        }
    }
    let lists = [
        field::<Value>(&fields, "rooms")?,
        field(&fields, "events")?,
        field(&fields, "publish")?,
    ];
    let permissions = Permissions::read(Lists {
        rooms: lists[0].as_ref(),
        events: lists[1].as_ref(),
        publish: lists[2].as_ref(),
    });
    let stay = field::<u64>(&fields, "expiresInMs")?.map(Duration::from_millis);
    let rooms = field::<Vec<Value>>(&fields, "joinRooms")?.unwrap_or_default();
    if rooms.len() > MOST_ROOMS {
        return Err(format!("`joinRooms` names more than {MOST_ROOMS} rooms"));
    }
    Ok(Permission {
        client: field::<Value>(&fields, "client")?.map(|id| client(&id)).transpose()?,
        overrides: Overrides {
            expires: stay.and_then(|stay| Instant::now().checked_add(stay)),
            permissions: permissions
                .map_err(|_| "`rooms`, `events` or `publish` is not a list as in tokens".to_owned())?,
        },
        data: data(&fields)?,
        rooms: rooms.iter().map(room).collect::<Result<_, _>>()?,
    })
}

const FIELDS: [&str; 7] = [
    "client",
    "rooms",
    "events",
    "publish",
    "data",
    "expiresInMs",
    "joinRooms",
];

/// A field's value; None if it is missing or null.
fn field<T: DeserializeOwned>(fields: &BTreeMap<String, Box<RawValue>>, name: &str) -> Result<Option<T>, String> {
    let Some(json) = fields.get(name) else {
        return Ok(None);
    };
    serde_json::from_str(json.get()).map_err(|_| format!("`{name}` is of another type than expected"))
}

fn client(id: &Value) -> Result<ClientId, String> {
    let id = match id {
        Value::String(id) => ClientId::new(id),
        Value::Number(id) if !id.is_f64() => ClientId::new(id.to_string()),
        _ => return Err("`client` is not a text".to_owned()),
    };
    id.map_err(|error| format!("`client` is not valid: {error}"))
}

fn data(fields: &BTreeMap<String, Box<RawValue>>) -> Result<Option<Box<RawValue>>, String> {
    match fields.get("data").filter(|json| json.get() != "null") {
        Some(json) => match DataError::check(json.get()) {
            Ok(()) => Ok(Some(json.clone())),
            Err(error) => Err(format!("`data`: {error}")),
        },
        None => Ok(None),
    }
}

fn room(value: &Value) -> Result<Room, String> {
    let wrong = || "`joinRooms` has an entry that is not NAMESPACE:ID or {\"namespace\": …, \"id\": …}".to_owned();
    let room = match value.as_str() {
        Some(text) => text.split_once(':').map(|(namespace, id)| Room::new(namespace, id)),
        None => RoomObject::deserialize(value)
            .ok()
            .map(|room| Room::new(room.namespace, room.id)),
    };
    room.ok_or_else(wrong)?
        .map_err(|error| format!("a room of `joinRooms` is not valid: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wsmesh_adapter::MAX_DATA_BYTES;

    use super::*;

    fn problem(answer: &Value) -> String {
        read(answer.to_string().as_bytes()).expect_err("cannot be used")
    }

    #[test]
    fn an_answer_says_who_the_client_is_and_what_it_may_do() {
        let answer = json!({
            "client": "888", "rooms": ["chat:*"], "events": [], "publish": null, "data": {"team": "red"},
            "expiresInMs": 60_000, "joinRooms": ["user:888", {"namespace": "a:b", "id": "c"}],
        });
        let permission = read(answer.to_string().as_bytes()).expect("good");
        assert_eq!(permission.client, Some(ClientId::new("888").expect("valid")));
        assert_eq!(permission.data.expect("some").get(), r#"{"team":"red"}"#);
        let rooms = [("user", "888"), ("a:b", "c")].map(|(namespace, id)| Room::new(namespace, id).expect("valid"));
        assert_eq!(permission.rooms, rooms);
        let left = permission
            .overrides
            .expires
            .expect("a limit")
            .saturating_duration_since(Instant::now());
        assert!(
            left > Duration::from_secs(50) && left <= Duration::from_secs(60),
            "{left:?}"
        );
        assert!(permission.overrides.permissions.is_some());
        let bare = read(br#"{"client": 888}"#).expect("a number, as in tokens");
        assert_eq!(bare.client, Some(ClientId::new("888").expect("valid")));
        assert!(bare.overrides == Overrides::default() && bare.data.is_none() && bare.rooms.is_empty());
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_refused_and_its_values_are_not_quoted() {
        for (answer, named) in [
            (json!({"client": "secret\n"}), "`client`"),
            (json!({"client": "x".repeat(256)}), "`client`"),
            (json!({"client": ["secret"]}), "`client`"),
            (json!({"client": 1.5}), "`client`"),
            (json!({"client": ""}), "`client`"),
            (json!({"rooms": "secret"}), "`rooms`"),
            (json!({"events": [7]}), "`events`"),
            (json!({"publish": ["secret"]}), "`publish`"),
            (json!({"expiresInMs": "secret"}), "`expiresInMs`"),
            (json!({"expiresInMs": -1}), "`expiresInMs`"),
            (json!({"joinRooms": ["secret"]}), "`joinRooms`"),
            (json!({"joinRooms": [7]}), "`joinRooms`"),
            (json!({"joinRooms": [":"]}), "`joinRooms`"),
            (json!({"joinRooms": "secret"}), "`joinRooms`"),
            (json!({"joinRooms": vec!["a:b"; MOST_ROOMS + 1]}), "`joinRooms`"),
            (json!({"event": ["secret"]}), "\"event\""),
            (json!(["secret"]), "object"),
            (json!("secret"), "object"),
        ] {
            let problem = problem(&answer);
            assert!(
                problem.contains(named) && !problem.contains("secret"),
                "{answer:.60}: {problem}"
            );
        }
        for garbage in [&b""[..], b"{", b"\xff", b"<html>"] {
            assert!(read(garbage).is_err_and(|problem| problem.contains("object")));
        }
    }

    #[test]
    fn data_may_have_four_kibibytes_and_not_a_byte_more() {
        let answer = |bytes: usize| json!({"client": "a", "data": "x".repeat(bytes - 2)});
        assert!(read(answer(MAX_DATA_BYTES).to_string().as_bytes()).is_ok());
        assert!(problem(&answer(MAX_DATA_BYTES + 1)).contains("4097"));
        let none = read(br#"{"client": "a", "data": null}"#).expect("good");
        assert!(none.data.is_none());
    }
}
