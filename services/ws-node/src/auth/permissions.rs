//! The permissions in a client's token: rooms that it may join itself, events that it may send. A claim replaces what the
//! settings allow; a missing claim changes nothing.

use std::borrow::Cow;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;
use wsmesh_adapter::Room;

use super::error::AuthError;

/// Most patterns in one list: all may be compared for each event of the client.
const MOST_PATTERNS: usize = 256;

/// Until when a client may stay, and what it may do. [`Grant::default`]: without limit, what the settings allow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grant {
    /// When the connection is closed, unless it is extended.
    pub(crate) expires: Option<Instant>,
    /// None: what the settings allow. Boxed, since most clients have none.
    pub(crate) permissions: Option<Box<Permissions>>,
}

impl Grant {
    /// Whether the client may send this event; without a list in its token, it may.
    pub(crate) fn allows_event(&self, event: &str) -> bool {
        self.permissions
            .as_ref()
            .and_then(|lists| lists.event(event))
            .unwrap_or(true)
    }

    /// Whether the client may join this room itself; None if that depends on the settings.
    pub(crate) fn allows_room(&self, room: &Room) -> Option<bool> {
        self.permissions.as_ref().and_then(|lists| lists.room(room))
    }
}

/// The lists of one client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    rooms: Option<Vec<RoomPattern>>,
    events: Option<Vec<Pattern>>,
}

/// A text, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

/// `NAMESPACE:ID` or `{"namespace": NAMESPACE, "id": ID}`, where the id may end with a star; a star alone is every room.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RoomPattern {
    Any,
    In(Box<str>, Pattern),
}

impl Permissions {
    /// Reads the values of the two claims; None if both are missing or null. An unreadable one is an error: a claim that was
    /// meant to restrict must not be ignored.
    pub(crate) fn read(rooms: Option<&Value>, events: Option<&Value>) -> Result<Option<Box<Self>>, AuthError> {
        let given = |value: &&Value| !value.is_null();
        let rooms = rooms
            .filter(given)
            .map(|value| list("rooms", value, room_pattern))
            .transpose()?;
        let events = events
            .filter(given)
            .map(|value| {
                list("events", value, |text| {
                    text.as_str().map(pattern).ok_or_else(|| wrong("events"))
                })
            })
            .transpose()?;
        Ok((rooms.is_some() || events.is_some()).then(|| Box::new(Self { rooms, events })))
    }

    /// Whether the client may send this event; None if that depends on the settings.
    fn event(&self, event: &str) -> Option<bool> {
        let events = self.events.as_ref()?;
        Some(events.iter().any(|pattern| pattern.fits(event)))
    }

    /// Whether the client may join this room itself; None if that depends on the settings.
    fn room(&self, room: &Room) -> Option<bool> {
        let rooms = self.rooms.as_ref()?;
        Some(rooms.iter().any(|pattern| match pattern {
            RoomPattern::Any => true,
            RoomPattern::In(namespace, id) => **namespace == *room.namespace.as_str() && id.fits(room.id.as_str()),
        }))
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
        }
    }
}

fn pattern(text: &str) -> Pattern {
    match text.strip_suffix('*') {
        Some(prefix) => Pattern::Prefix(prefix.into()),
        None => Pattern::Exact(text.into()),
    }
}

/// A room as an object: the only way to name one whose namespace has a colon, at which the text is split.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomObject<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

fn room_pattern(value: &Value) -> Result<RoomPattern, AuthError> {
    let wrong = || {
        AuthError::BadClaims(
            "a room is written NAMESPACE:ID, NAMESPACE:BEGINNING*, * or {\"namespace\": NAMESPACE, \"id\": ID}"
                .to_owned(),
        )
    };
    let Some(text) = value.as_str() else {
        let room = RoomObject::deserialize(value).map_err(|_| wrong())?;
        return Ok(RoomPattern::In((*room.namespace).into(), pattern(&room.id)));
    };
    if text == "*" {
        return Ok(RoomPattern::Any);
    }
    let (namespace, id) = text.split_once(':').ok_or_else(wrong)?;
    Ok(RoomPattern::In(namespace.into(), pattern(id)))
}

fn list<T>(what: &str, value: &Value, read: impl Fn(&Value) -> Result<T, AuthError>) -> Result<Vec<T>, AuthError> {
    let values = value.as_array().filter(|values| values.len() <= MOST_PATTERNS);
    values.ok_or_else(|| wrong(what))?.iter().map(read).collect()
}

fn wrong(what: &str) -> AuthError {
    let entries = if what == "rooms" { "texts or objects" } else { "texts" };
    AuthError::BadClaims(format!(
        "the list of {what} must be a list of at most {MOST_PATTERNS} {entries}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn room(namespace: &str, id: &str) -> Room {
        Room::new(namespace, id).expect("valid")
    }

    #[test]
    fn rooms_and_events_are_those_of_the_lists() {
        let rooms = json!(["chat:lobby-*", "game:7", "all:*"]);
        let permissions = Permissions::read(Some(&rooms), Some(&json!(["chat.*", "ping"]))).expect("good");
        let permissions = permissions.expect("some");
        for (namespace, id, expected) in [
            ("chat", "lobby-", true),
            ("chat", "lobby-7", true),
            ("chat", "lobb", false),
            ("game", "7", true),
            ("game", "77", false),
            ("all", "x", true),
            ("other", "lobby-7", false),
            ("chat:lobby-7", "x", false),
        ] {
            assert_eq!(
                permissions.room(&room(namespace, id)),
                Some(expected),
                "{namespace}:{id}"
            );
        }
        for (event, expected) in [
            ("chat.say", true),
            ("chat.", true),
            ("chat", false),
            ("ping", true),
            ("pings", false),
        ] {
            assert_eq!(permissions.event(event), Some(expected), "{event}");
        }
    }

    #[test]
    fn a_namespace_with_a_colon_can_only_be_granted_by_an_object() {
        let rooms = json!([{"namespace": "team:red", "id": "7"}, {"namespace": "a:b", "id": "x:*"}, "team:red:8"]);
        let permissions = Permissions::read(Some(&rooms), None).expect("good").expect("some");
        for (namespace, id, expected) in [
            ("team:red", "7", true),
            ("team:red", "8", false),
            ("team", "red:7", false),
            ("team", "red:8", true),
            ("a:b", "x:1", true),
            ("a:b", "x", false),
        ] {
            assert_eq!(
                permissions.room(&room(namespace, id)),
                Some(expected),
                "{namespace} {id}"
            );
        }
        assert!(Permissions::read(None, Some(&rooms)).is_err(), "events are texts");
    }

    #[test]
    fn a_claim_that_is_not_there_changes_nothing_and_an_empty_one_allows_nothing() {
        assert_eq!(Permissions::read(None, None), Ok(None));
        assert_eq!(Permissions::read(Some(&Value::Null), Some(&Value::Null)), Ok(None));
        let only_events = Permissions::read(None, Some(&json!([]))).expect("good").expect("some");
        assert_eq!(
            (only_events.room(&room("chat", "1")), only_events.event("x")),
            (None, Some(false))
        );
        let every_room = Permissions::read(Some(&json!(["*"])), None)
            .expect("good")
            .expect("some");
        assert_eq!(
            (every_room.room(&room("a:b", "c")), every_room.event("x")),
            (Some(true), None)
        );
    }

    #[test]
    fn lists_that_cannot_be_read_are_rejected() {
        let many = json!(vec!["x"; MOST_PATTERNS + 1]);
        for bad in [
            json!("chat:*"),
            json!(7),
            json!([7]),
            json!([null]),
            json!({}),
            json!(["lobby"]),
            json!([{"namespace": "chat"}]),
            json!([{"namespace": "chat", "id": 7}]),
            json!([{"namespace": "chat", "id": "7", "except": "8"}]),
            many,
        ] {
            assert!(Permissions::read(Some(&bad), None).is_err(), "{bad:.40}");
        }
        assert!(Permissions::read(None, Some(&json!("x"))).is_err());
    }
}
