//! The rooms that a client is in, so that it can ask for them again on the next connection. A value without I/O.

use serde::Serialize;

/// A room of the server, to be joined with [`Client::join_room`](crate::Client::join_room).
///
/// ```
/// use wsmesh_connector::Room;
///
/// let room = Room::new("1000").in_namespace("chat");
/// assert_eq!(room.namespace.as_deref(), Some("chat"));
/// assert_eq!(Room::from(7), Room::new(7));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id within the namespace.
    #[serde(rename = "roomId")]
    pub id: RoomId,
    /// Its namespace; the server's own when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
}

/// The id of a room. To the server the number 7 and the text "7" are the same room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RoomId {
    /// Sent as a number.
    Number(i64),
    /// Sent as a text.
    Text(Box<str>),
}

impl Room {
    /// A room in the server's own namespace.
    pub fn new(id: impl Into<RoomId>) -> Self {
        Self {
            id: id.into(),
            namespace: None,
        }
    }

    /// The room of this id in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    fn is(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && match (&self.id, &other.id) {
                (RoomId::Text(text), RoomId::Number(number)) | (RoomId::Number(number), RoomId::Text(text)) => {
                    **text == number.to_string()
                }
                (one, other) => one == other,
            }
    }
}

impl From<i64> for RoomId {
    fn from(id: i64) -> Self {
        Self::Number(id)
    }
}

impl From<&str> for RoomId {
    fn from(id: &str) -> Self {
        Self::Text(id.into())
    }
}

impl From<String> for RoomId {
    fn from(id: String) -> Self {
        Self::Text(id.into())
    }
}

impl From<i64> for Room {
    fn from(id: i64) -> Self {
        Self::new(id)
    }
}

impl From<&str> for Room {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for Room {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

/// What is wanted and what was joined, in the order of wanting.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    room: Room,
    joined: bool,
}

impl Rooms {
    /// It is being asked for.
    pub(crate) fn wanted(&mut self, room: &Room) {
        if self.entry(room).is_none() {
            self.0.push(Entry {
                room: room.clone(),
                joined: false,
            });
        }
    }

    /// The server agreed; counts unless it was left meanwhile.
    pub(crate) fn joined(&mut self, room: &Room) {
        if let Some(entry) = self.entry(room) {
            entry.joined = true;
        }
    }

    /// It was not joined; one that was before stays.
    pub(crate) fn refused(&mut self, room: &Room) {
        self.0.retain(|entry| entry.joined || !entry.room.is(room));
    }

    pub(crate) fn left(&mut self, room: &Room) {
        self.0.retain(|entry| !entry.room.is(room));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Those to ask for again.
    pub(crate) fn to_rejoin(&self) -> Vec<Room> {
        let joined = self.0.iter().filter(|entry| entry.joined);
        joined.map(|entry| entry.room.clone()).collect()
    }

    fn entry(&mut self, room: &Room) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.room.is(room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_joined_and_not_left_is_asked_for_again_in_order() {
        let mut rooms = Rooms::default();
        let [a, b, c] = ["a", "b", "c"].map(Room::from);
        for room in [&b, &a, &c] {
            rooms.wanted(room);
        }
        assert!(rooms.to_rejoin().is_empty());
        for room in [&a, &b, &c] {
            rooms.joined(room);
        }
        rooms.left(&c);
        rooms.joined(&c);
        rooms.wanted(&a);
        rooms.refused(&a);
        assert_eq!(rooms.to_rejoin(), [b, a]);
        rooms.clear();
        assert!(rooms.to_rejoin().is_empty());
    }

    #[test]
    fn a_number_and_its_text_are_one_room_and_a_namespace_makes_another() {
        let mut rooms = Rooms::default();
        rooms.wanted(&Room::new(7));
        rooms.joined(&Room::new("7"));
        rooms.wanted(&Room::new("7").in_namespace("chat"));
        assert_eq!(rooms.to_rejoin(), [Room::new(7)]);
        rooms.left(&Room::new("7"));
        assert!(rooms.to_rejoin().is_empty());
    }
}
