//! The permissions in a client's token: rooms that it may join itself, events that it may send, rooms that it may publish to.
//! A claim replaces what the settings allow; a missing claim changes nothing.

use std::borrow::Cow;
use std::sync::Arc;
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
    /// What counts in place of any token's. Few clients have some.
    pub(crate) overrides: Option<Arc<Overrides>>,
}

/// What counts for a connection whatever its client's tokens say, also later ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    /// The connection ends then, if not before.
    pub(crate) expires: Option<Instant>,
    /// Each of these lists replaces the token's.
    pub(crate) permissions: Option<Box<Permissions>>,
}

impl Grant {
    /// This grant as far as the overrides let it count.
    pub(crate) fn under(self, overrides: Arc<Overrides>) -> Self {
        let expires = match (self.expires, overrides.expires) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let permissions = match overrides.permissions.clone() {
            Some(own) => Some(Box::new(own.over(self.permissions))),
            None => self.permissions,
        };
        Self {
            expires,
            permissions,
            overrides: Some(overrides),
        }
    }

    /// Whether the client may send this event; without a list in its token, it may.
    pub(crate) fn allows_event(&self, event: &str) -> bool {
        self.permissions
            .as_ref()
            .and_then(|lists| lists.event(event))
            .unwrap_or(true)
    }

    /// Whether the client's token has a list of rooms to publish to.
    pub(crate) fn lists_publish(&self) -> bool {
        self.permissions.as_ref().is_some_and(|lists| lists.publish.is_some())
    }

    /// Whether the client may publish to this room, also from outside; None if that depends on the settings.
    pub(crate) fn allows_publish(&self, room: &Room) -> Option<bool> {
        let publish = self.permissions.as_ref()?.publish.as_ref()?;
        Some(fits_any(publish, room))
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
    publish: Option<Vec<RoomPattern>>,
}

/// Lists as a token, a ticket or a backend writes them. A missing one and null are the same.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lists<'a> {
    /// Rooms that the client may join itself.
    pub(crate) rooms: Option<&'a Value>,
    /// Events that it may send.
    pub(crate) events: Option<&'a Value>,
    /// Rooms that it may publish to, written as those that it may join.
    pub(crate) publish: Option<&'a Value>,
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
    /// These lists, and the others where there is none.
    fn over(self, others: Option<Box<Self>>) -> Self {
        let Self { rooms, events, publish } = self;
        let others = others.map_or_else(Self::default, |others| *others);
        Self {
            rooms: rooms.or(others.rooms),
            events: events.or(others.events),
            publish: publish.or(others.publish),
        }
    }

    /// Reads the lists; None if all are missing. An unreadable one is an error: a list that was meant to restrict must not be
    /// ignored.
    pub(crate) fn read(lists: Lists<'_>) -> Result<Option<Box<Self>>, AuthError> {
        let event = |value: &Value| value.as_str().map(pattern).ok_or_else(|| wrong("events"));
        let read = Self {
            rooms: list("rooms", lists.rooms, room_pattern)?,
            events: list("events", lists.events, event)?,
            publish: list("publish", lists.publish, room_pattern)?,
        };
        Ok((read != Self::default()).then(|| Box::new(read)))
    }

    /// Whether the client may send this event; None if that depends on the settings.
    fn event(&self, event: &str) -> Option<bool> {
        let events = self.events.as_ref()?;
        Some(events.iter().any(|pattern| pattern.fits(event)))
    }

    /// Whether the client may join this room itself; None if that depends on the settings.
    fn room(&self, room: &Room) -> Option<bool> {
        let rooms = self.rooms.as_ref()?;
        Some(fits_any(rooms, room))
    }
}

fn fits_any(patterns: &[RoomPattern], room: &Room) -> bool {
    patterns.iter().any(|pattern| match pattern {
        RoomPattern::Any => true,
        RoomPattern::In(namespace, id) => **namespace == *room.namespace.as_str() && id.fits(room.id.as_str()),
    })
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
        AuthError::bad_claims(
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

/// The entries of one list; None if it is missing or null.
fn list<T>(
    what: &str,
    value: Option<&Value>,
    read: impl Fn(&Value) -> Result<T, AuthError>,
) -> Result<Option<Vec<T>>, AuthError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let values = value.as_array().filter(|values| values.len() <= MOST_PATTERNS);
    values
        .ok_or_else(|| wrong(what))?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn wrong(what: &str) -> AuthError {
    let entries = if what == "events" { "texts" } else { "texts or objects" };
    AuthError::bad_claims(format!(
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

    type Read = Result<Option<Box<Permissions>>, AuthError>;

    fn read(rooms: Option<&Value>, events: Option<&Value>) -> Read {
        Permissions::read(Lists {
            rooms,
            events,
            publish: None,
        })
    }

    fn read_publish(publish: &Value) -> Read {
        Permissions::read(Lists {
            publish: Some(publish),
            ..Lists::default()
        })
    }

    #[test]
    fn rooms_and_events_are_those_of_the_lists() {
        let rooms = json!(["chat:lobby-*", "game:7", "all:*"]);
        let permissions = read(Some(&rooms), Some(&json!(["chat.*", "ping"]))).expect("good");
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
        let permissions = read(Some(&rooms), None).expect("good").expect("some");
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
        assert!(read(None, Some(&rooms)).is_err(), "events are texts");
    }

    #[test]
    fn a_claim_that_is_not_there_changes_nothing_and_an_empty_one_allows_nothing() {
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some(&Value::Null), Some(&Value::Null)), Ok(None));
        let only_events = read(None, Some(&json!([]))).expect("good").expect("some");
        assert_eq!(
            (only_events.room(&room("chat", "1")), only_events.event("x")),
            (None, Some(false))
        );
        let every_room = read(Some(&json!(["*"])), None).expect("good").expect("some");
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
            assert!(read(Some(&bad), None).is_err(), "{bad:.40}");
        }
        assert!(read(None, Some(&json!("x"))).is_err());
    }
    #[test]
    fn rooms_to_publish_to_are_a_list_of_their_own() {
        let grant = |permissions: Read| Grant {
            permissions: permissions.expect("good"),
            ..Grant::default()
        };
        let publisher = grant(read_publish(&json!(["chat:lobby-*", {"namespace": "a:b", "id": "7"}])));
        for (namespace, id, expected) in [("chat", "lobby-7", true), ("chat", "other", false), ("a:b", "7", true)] {
            let (may, named) = (
                publisher.allows_publish(&room(namespace, id)),
                format!("{namespace} {id}"),
            );
            assert_eq!(may, Some(expected), "{named}");
            assert_eq!(publisher.allows_room(&room(namespace, id)), None, "{named}");
        }
        assert!(publisher.lists_publish() && publisher.allows_event("x"));
        let nowhere = grant(read_publish(&json!([])));
        assert_eq!(nowhere.allows_publish(&room("chat", "1")), Some(false));
        let others = grant(read(Some(&json!(["*"])), Some(&json!(["*"]))));
        assert_eq!(others.allows_publish(&room("chat", "1")), None);
        assert!(!others.lists_publish() && !grant(read_publish(&Value::Null)).lists_publish());
        for bad in [json!("chat:*"), json!(["lobby"]), json!([7]), json!({"chat": true})] {
            assert!(read_publish(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn overrides_count_whatever_a_token_says() {
        let (now, minute) = (Instant::now(), std::time::Duration::from_secs(60));
        let token = |expires| Grant {
            expires: Some(expires),
            permissions: read(Some(&json!(["*"])), Some(&json!(["*"]))).expect("good"),
            overrides: None,
        };
        let overrides = Arc::new(Overrides {
            expires: Some(now + minute),
            permissions: read(None, Some(&json!(["ping"]))).expect("good"),
        });
        let first = token(now + minute * 2).under(overrides);
        assert_eq!(first.expires, Some(now + minute));
        let next = token(now + minute / 2).under(first.overrides.clone().expect("kept"));
        assert_eq!(next.expires, Some(now + minute / 2));
        for grant in [first, next] {
            assert!(grant.allows_event("ping") && !grant.allows_event("pong"));
            assert_eq!(
                grant.allows_room(&room("chat", "1")),
                Some(true),
                "only the list that is there"
            );
        }
        let unlimited = Grant::default().under(Arc::default());
        assert!(unlimited.expires.is_none() && unlimited.permissions.is_none());
    }
}
